#!/bin/sh
# seeds.sh OUT: a few small files of each kind as the beginning of a corpus, in OUT/corpus/READER.
set -eu
out=$1/corpus
for reader in json coco det spec records example table config labels csv voc cvat yaml zip onnx tflite; do mkdir -p "$out/$reader"; done

cat > "$out/coco/truth" <<'JSON'
{"images": [{"id": "a\u00e9", "file_name": "a.jpg", "width": 4, "height": 3}], "categories": [{"id": 1, "name": "x"}],
 "annotations": [{"id": 1, "image_id": "a\u00e9", "category_id": 1, "bbox": [1, 2.5e0, 3, 4], "area": 12, "iscrowd": 0}]}
JSON
printf '[{"image_id": 1, "category_id": 2, "bbox": [1, 2, 3, 4], "score": 0.25}]' > "$out/coco/detections"
cat > "$out/coco/outlines" <<'JSON'
{"images": [{"id": 1, "file_name": "a.jpg"}], "categories": [{"id": 0, "name": "x", "supercategory": "none"}, {"id": 1, "name": "y", "supercategory": "x"}],
 "annotations": [{"image_id": 1, "category_id": 1, "bbox": [], "segmentation": [[1, 2, 3, 4, 5, 6]], "iscrowd": null, "area": NaN},
 {"image_id": "1", "category_id": 1, "segmentation": {"size": [30, 40], "counts": "R1a4S6oKnK>m1T5EfM^ORMUM5"}},
 {"image_id": 1, "category_id": 1, "segmentation": {"size": [30, 40], "counts": [3, 9]}}]}
JSON
cp "$out/coco/truth" "$out/json/object"
printf '[null, true, -1.5e+3, "\\ud83d\\ude00\\n", {}]' > "$out/json/list"

# The header of the bundled model, without and with the tensors' list; its spec.
bytes=$(od -An -t u4 -j 16 -N 4 data/vehicles.det | tr -d ' ')
tail -c +65 data/vehicles.det | head -c "$bytes" > "$out/det/header"
sed '/^"tensors"/,$d' "$out/det/header" > "$out/det/start"
printf '"tensors":[{"name":"a","dtype":"f32","shape":[1],"offset":0,"bytes":4,"crc32c":0}]}\0abcd' >> "$out/det/start"
sed -n '/"spec": {/,/^  }/p' "$out/det/header" | sed '1s/.*{/{/; $s/}.*/}/' > "$out/spec/bundled"

printf '\003\0\0\0\0\0\0\0crccabccrcc\0\0\0\0\0\0\0\0crcccrcc' > "$out/records/two"
printf '\003\0\0\0\0\0\0\0crccabccrcc' | gzip > "$out/records/gzip"
# Features { image/height: 3, image/object/bbox/xmin: 0.5 (packed), class/text: "a" }
printf '\n\047\n\025\n\014image/height\022\005\032\003\n\001\003\n\016\n\001x\022\011\022\007\n\005\n\003abc' > "$out/example/one"
# A bundle's header and one entry, as the entries of a block with one restart point.
printf '\000\000\000\002\010\001\000\001\011a\010\001\022\004\022\002\010\001\050\004\000\000\000\000\001\000\000\000' > "$out/table/entries"
printf '\002\000\001\012a\200\200\200\200\000\200\200\200\200\000\000\000\000\000\001\000\000\000' > "$out/table/index"
printf '\001\004\014abcd' > "$out/table/snappy"

for config in tests/golden/configs/*; do
  [ -f "$config" ] && cp "$config" "$out/config/"
done
printf 'item { id: 1 name: "a" display_name: "A" }\nitem { id: 2 name: "b" } # two\n' > "$out/labels/two"

printf 'filename,width,height,class,xmin,ymin,xmax,ymax,split\na.jpg,4,3,"x, y",1,1,2,2,train\nb.jpg,4,3,,,,,,\n' > "$out/csv/header"
printf 'a/b.jpg,1,2,3,4,x\nc.jpg,,,,,\n' > "$out/csv/headless"
cat > "$out/voc/one" <<'XML'
<?xml version="1.0" encoding="GB2312"?>
<annotation><filename>a.jpg</filename><size><width>4</width><height>3</height></size><object><name>x</name><difficult>0</difficult>
<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></object></annotation>
XML
cat > "$out/cvat/images" <<'XML'
<annotations><image id="0" name="a.jpg" subset="train" width="4" height="3"><box label="x" xtl="1" ytl="1" xbr="2" ybr="2" rotation="30"/>
<polygon label="x" points="1,1;2,2;3,1"/><mask label="x" left="1" top="1" width="2" height="2" rle="0, 4"/><ellipse label="x" cx="2" cy="2" rx="1" ry="1"/></image></annotations>
XML
cat > "$out/cvat/video" <<'XML'
<annotations><meta><original_size><width>4</width><height>3</height></original_size></meta><track id="0" label="x">
<box frame="0" outside="0" xtl="1" ytl="1" xbr="2" ybr="2"/><box frame="9" outside="1" xtl="1" ytl="1" xbr="2" ybr="2"/></track></annotations>
XML
printf 'path: ..\ntrain: [a, "b"]\nnames: {0: x, 1: "y"}\nkpt_shape: [17, 3]\n' > "$out/yaml/flow"
printf 'train: a\nnames:\n- x # one\n- |\n  y\n' > "$out/yaml/block"
# One stored entry, a.txt with "hello": local header, central directory, its end.
printf 'PK\003\004\024\0\0\0\0\0\0\0\041\132\206\246\020\066\005\0\0\0\005\0\0\0\005\0\0\0a.txthello' > "$out/zip/stored"
printf 'PK\001\002\024\0\024\0\0\0\0\0\0\0\041\132\206\246\020\066\005\0\0\0\005\0\0\0\005\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0a.txt' >> "$out/zip/stored"
printf 'PK\005\006\0\0\0\0\001\0\001\0\063\0\0\0\050\0\0\0\0\0' >> "$out/zip/stored"
# Conv, Clip, Transpose, Reshape, Sigmoid, Slice, Concat, and the metadata that is looked for.
printf '%b' \
  '\0010\0007\0072\0230\0004\0012h\0012\0014input_tensor\0012\0001w\0022\0001c\0032\0002n0\0042\0004Conv\0052\0014\0012\0005group\0030\0001\0240\0001\0002\0052\0025\0012\0014kernel_shape\0100\0001\0100\0001\0240\0001' \
  '\0007\0052\0021\0012\0004pads\0100\0000\0100\0000\0100\0000\0100\0000\0240\0001\0007\0052\0020\0012\0007strides\0100\0001\0100\0001\0240\0001\0007\0012\0026\0012\0001c\0012\0001l\0012\0001h\0022\0001k\0032\0002n1\0042' \
  '\0004Clip\0012\0050\0012\0001k\0022\0001t\0032\0002n2\0042\0011Transpose\0052\0021\0012\0004perm\0100\0000\0100\0002\0100\0003\0100\0001\0240\0001\0007\0012\0042\0012\0001t\0012\0001s\0022\0015box_encodings\0032\0002' \
  'n3\0042\0007Reshape\0012\0044\0012\0015box_encodings\0022\0006scores\0032\0002n4\0042\0007Sigmoid\0012\0037\0012\0006scores\0012\0001b\0012\0001e\0012\0001a\0022\0001x\0032\0002n5\0042\0005Slice\0012\0047\0012' \
  '\0001x\0012\0006scores\0022\0001y\0032\0002n6\0042\0006Concat\0052\0013\0012\0004axis\0030\0001\0240\0001\0002\0022\0001g\0052\0033\0010\0001\0010\0003\0010\0001\0010\0001\0020\0001B\0001wJ\0014\0000\0000\0300\0077\0000' \
  '\0000\0000\0100\0000\0000\0000\0077\0052\0013\0020\0001B\0001lJ\0004\0000\0000\0000\0000\0052\0013\0020\0001B\0001hJ\0004\0000\0000\0300\0100\0052\0041\0010\0003\0020\0007B\0001sJ\0030\0000\0000\0000\0000\0000\0000\0000' \
  '\0000\0001\0000\0000\0000\0000\0000\0000\0000\0004\0000\0000\0000\0000\0000\0000\0000\0052\0021\0010\0001\0020\0007B\0001bJ\0010\0000\0000\0000\0000\0000\0000\0000\0000\0052\0021\0010\0001\0020\0007B\0001eJ\0010\0001\0000' \
  '\0000\0000\0000\0000\0000\0000\0052\0021\0010\0001\0020\0007B\0001aJ\0010\0001\0000\0000\0000\0000\0000\0000\0000Z\0047\0012\0014input_tensor\0022\0027\0012\0025\0010\0001\0022\0021\0012\0003\0022\0001n\0012\0002\0010' \
  '\0003\0012\0002\0010\0002\0012\0002\0010\0002b\0027\0012\0001y\0022\0022\0012\0020\0010\0001\0022\0014\0012\0002\0010\0001\0012\0002\0010\0002\0012\0002\0010\0004B\0004\0012\0000\0020\0015r\0014\0012\0007outputs\0022\00011' \
  'r\0013\0012\0006labels\0022\00011r\0012\0012\0005input\0022\00011r\0014\0012\0007anchors\0022\00011r\0016\0012\0011detection\0022\00011r\0011\0012\0004step\0022\00011' > "$out/onnx/network"
# Where a sound file is changed, and to what.
printf '\0\0\0\0\0\001\0\377\0\020\0\001' > "$out/tflite/three"
