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
# Where exported files are changed, and to what.
printf '\0\0\0\0\0\001\0\377\0\020\0\001' > "$out/onnx/three"
cp "$out/onnx/three" "$out/tflite/three"
