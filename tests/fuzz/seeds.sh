#!/bin/sh
# seeds.sh OUT: a few small files of each kind as the beginning of a corpus, in OUT/corpus/READER.
set -eu
out=$1/corpus
for reader in json coco det spec records example table config labels; do mkdir -p "$out/$reader"; done

cat > "$out/coco/truth" <<'JSON'
{"images": [{"id": "a\u00e9", "file_name": "a.jpg", "width": 4, "height": 3}], "categories": [{"id": 1, "name": "x"}],
 "annotations": [{"id": 1, "image_id": "a\u00e9", "category_id": 1, "bbox": [1, 2.5e0, 3, 4], "area": 12, "iscrowd": 0}]}
JSON
printf '[{"image_id": 1, "category_id": 2, "bbox": [1, 2, 3, 4], "score": 0.25}]' > "$out/coco/detections"
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
