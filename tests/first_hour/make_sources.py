#!/usr/bin/env python3
"""Archives as a user has them, of a data set in COCO's layout: what labelImg's user zips, what
Roboflow exports as COCO and as YOLO, what CVAT exports for images.

    make_sources.py COCO_FOLDER OUTPUT_FOLDER

Layouts, names and fields are the programs' own, blemishes among them: folders of Windows in
labelImg's XML, paths beside the folder in Roboflow's data.yaml, its category that is none, its names
with ".rf." and a hash.
"""
import hashlib
import json
import os
import sys
import zipfile
from xml.sax.saxutils import escape


def read_coco(folder):
    """Images with their boxes: (split, name, bytes, width, height, [(class, x, y, w, h)])."""
    images, classes = [], []
    for name in sorted(os.listdir(os.path.join(folder, "annotations"))):
        split = name[len("instances_"):-len(".json")]
        with open(os.path.join(folder, "annotations", name), encoding="utf-8") as file:
            data = json.load(file)
        names = {c["id"]: c["name"] for c in data["categories"]}
        classes = [names[key] for key in sorted(names)]
        boxes = {}
        for a in data["annotations"]:
            boxes.setdefault(a["image_id"], []).append((names[a["category_id"]], *a["bbox"]))
        for image in data["images"]:
            with open(os.path.join(folder, split, image["file_name"]), "rb") as file:
                pixels = file.read()
            images.append((split, image["file_name"], pixels, image["width"], image["height"],
                           boxes.get(image["id"], [])))
    return images, classes


def add(archive, name, content):
    """All of one time, so that the same data gives the same archive."""
    entry = zipfile.ZipInfo(name, (2024, 5, 1, 12, 0, 0))
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, content)


def labelimg(path, images):
    """Pictures and XML in one folder, as labelImg saves them beside each other."""
    with zipfile.ZipFile(path, "w") as archive:
        for _, name, pixels, width, height, boxes in images:
            lines = ["<annotation>", "\t<folder>my pictures</folder>",
                     f"\t<filename>{escape(name)}</filename>",
                     f"\t<path>C:\\Users\\me\\Desktop\\my pictures\\{escape(name)}</path>",
                     "\t<source>", "\t\t<database>Unknown</database>", "\t</source>", "\t<size>",
                     f"\t\t<width>{width}</width>", f"\t\t<height>{height}</height>",
                     "\t\t<depth>3</depth>", "\t</size>", "\t<segmented>0</segmented>"]
            for label, x, y, w, h in boxes:
                lines += ["\t<object>", f"\t\t<name>{escape(label)}</name>",
                          "\t\t<pose>Unspecified</pose>", "\t\t<truncated>0</truncated>",
                          "\t\t<difficult>0</difficult>", "\t\t<bndbox>",
                          f"\t\t\t<xmin>{round(x)}</xmin>", f"\t\t\t<ymin>{round(y)}</ymin>",
                          f"\t\t\t<xmax>{round(x + w)}</xmax>",
                          f"\t\t\t<ymax>{round(y + h)}</ymax>", "\t\t</bndbox>", "\t</object>"]
            stem = os.path.splitext(name)[0]
            add(archive, f"my pictures/{name}", pixels)
            add(archive, f"my pictures/{stem}.xml", "\n".join(lines + ["</annotation>", ""]))


def roboflow_split(index):
    """About 7 : 2 : 1."""
    return "test" if index % 10 == 9 else "valid" if index % 10 in (3, 6) else "train"


def roboflow_name(name):
    stem, extension = os.path.splitext(name)
    digest = hashlib.md5(name.encode()).hexdigest()
    return f"{stem}_{extension[1:]}.rf.{digest}"


def roboflow_readmes(archive):
    add(archive, "README.roboflow.txt",
        "\nscenes - v1 2024-05-01 12:00pm\n==============================\n\n"
        "This dataset was exported via roboflow.com on May 1, 2024 at 12:00 PM GMT\n\n"
        "The dataset includes some images.\n")
    add(archive, "README.dataset.txt",
        "# scenes > 2024-05-01 12:00pm\nhttps://universe.roboflow.com/me/scenes\n\n"
        "Provided by a Roboflow user\nLicense: CC BY 4.0\n")


def roboflow_coco(path, images, classes):
    order = sorted(classes)
    with zipfile.ZipFile(path, "w") as archive:
        roboflow_readmes(archive)
        for split in ("test", "train", "valid"):
            chosen = [i for n, i in enumerate(images) if roboflow_split(n) == split]
            data = {"info": {"year": "2024", "version": "1",
                             "description": "Exported from roboflow.com", "contributor": "",
                             "url": "https://public.roboflow.com/object-detection/undefined",
                             "date_created": "2024-05-01T12:00:00+00:00"},
                    "licenses": [{"id": 1, "url": "https://creativecommons.org/licenses/by/4.0/",
                                  "name": "CC BY 4.0"}],
                    "categories": [{"id": 0, "name": "things", "supercategory": "none"}],
                    "images": [], "annotations": []}
            for number, label in enumerate(order):
                data["categories"].append({"id": number + 1, "name": label,
                                           "supercategory": "things"})
            for _, name, pixels, width, height, boxes in chosen:
                number = len(data["images"])
                file_name = roboflow_name(name) + os.path.splitext(name)[1]
                data["images"].append({"id": number, "license": 1, "file_name": file_name,
                                       "height": height, "width": width,
                                       "date_captured": "2024-05-01T12:00:00+00:00",
                                       "extra": {"name": name}})
                for label, x, y, w, h in boxes:
                    data["annotations"].append(
                        {"id": len(data["annotations"]), "image_id": number,
                         "category_id": order.index(label) + 1, "bbox": [x, y, w, h],
                         "area": w * h, "segmentation": [], "iscrowd": 0})
                add(archive, f"{split}/{file_name}", pixels)
            add(archive, f"{split}/_annotations.coco.json", json.dumps(data))


def roboflow_yolo(path, images, classes):
    order = sorted(classes)
    with zipfile.ZipFile(path, "w") as archive:
        roboflow_readmes(archive)
        add(archive, "data.yaml",
            "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n\n"
            f"nc: {len(order)}\nnames: {order!r}\n\nroboflow:\n  workspace: me\n"
            "  project: scenes\n  version: 1\n  license: CC BY 4.0\n"
            "  url: https://universe.roboflow.com/me/scenes/dataset/1")
        for index, (_, name, pixels, width, height, boxes) in enumerate(images):
            split, stem = roboflow_split(index), roboflow_name(name)
            lines = [f"{order.index(label)} {(x + w / 2) / width} {(y + h / 2) / height} "
                     f"{w / width} {h / height}" for label, x, y, w, h in boxes]
            add(archive, f"{split}/images/{stem}{os.path.splitext(name)[1]}", pixels)
            add(archive, f"{split}/labels/{stem}.txt", "\n".join(lines))


def cvat(path, images, classes):
    """CVAT for images 1.1, of a task, with images."""
    labels = "".join(f"<label><name>{escape(c)}</name><color>#fa3253</color><type>any</type>"
                     "<attributes></attributes></label>\n" for c in classes)
    lines = ['<?xml version="1.0" encoding="utf-8"?>', "<annotations>", "<version>1.1</version>",
             "<meta><task><id>1</id><name>scenes</name>"
             f"<size>{len(images)}</size><mode>annotation</mode><overlap>0</overlap>"
             f"<labels>\n{labels}</labels>"
             "<owner><username>me</username><email></email></owner></task>"
             "<dumped>2024-05-01 12:00:00.000000+00:00</dumped></meta>"]
    for number, (_, name, _, width, height, boxes) in enumerate(images):
        lines.append(f'  <image id="{number}" name="{escape(name)}" width="{width}" '
                     f'height="{height}">')
        for label, x, y, w, h in boxes:
            lines += [f'    <box label="{escape(label)}" source="manual" occluded="0" '
                      f'xtl="{x:.2f}" ytl="{y:.2f}" xbr="{x + w:.2f}" ybr="{y + h:.2f}" '
                      'z_order="0">', "    </box>"]
        lines.append("  </image>")
    with zipfile.ZipFile(path, "w") as archive:
        add(archive, "annotations.xml", "\n".join(lines + ["</annotations>", ""]))
        for _, name, pixels, *_ in images:
            add(archive, f"images/{name}", pixels)


def main():
    folder, output = sys.argv[1:]
    images, classes = read_coco(folder)
    os.makedirs(output, exist_ok=True)
    labelimg(os.path.join(output, "labelimg.zip"), images)
    roboflow_coco(os.path.join(output, "roboflow_coco.zip"), images, classes)
    roboflow_yolo(os.path.join(output, "roboflow_yolo.zip"), images, classes)
    cvat(os.path.join(output, "cvat.zip"), images, classes)


if __name__ == "__main__":
    main()
