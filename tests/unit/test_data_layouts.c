/* Data sets as exporters lay them out, through det-data: what is read of them and what is said.
 * Each file is as the exporter writes it (Roboflow, CVAT, Label Studio, labelImg, VoTT,
 * keras-retinanet, Ultralytics), but for the size. */
#include "convert/read/xml.h"
#include "convert/read/yaml.h"
#include "support/data_layouts.h"
#include "support/run_tool.h"

#define BOX "0 0.5 0.5 0.4 0.4\n"
#define VOC(file, name)                                                                        \
    "<annotation><folder>x</folder><filename>" file "</filename><path>C:\\x\\" file "</path>"  \
    "<source><database>Unknown</database><annotation>Unknown</annotation>"                     \
    "<image>flickr</image></source><size><width>40</width><height>30</height><depth>3</depth>" \
    "</size><object><name>" name "</name><bndbox><xmin>2</xmin><ymin>3</ymin><xmax>20</xmax>"  \
    "<ymax>21</ymax></bndbox></object></annotation>\n"
#define COCO(file, image)                                                                       \
    "{\"info\": {}, \"categories\": [{\"id\": 0, \"name\": \"pets\", \"supercategory\": "       \
    "\"none\"}, {\"id\": 1, \"name\": \"cat\", \"supercategory\": \"pets\"}], \"images\": "     \
    "[{\"id\": " image ", \"file_name\": \"" file "\", \"width\": 40, \"height\": 30}], "       \
    "\"annotations\": [{\"id\": 0, \"image_id\": " image ", \"category_id\": 1, \"bbox\": [2, " \
    "3, 10, 12], \"area\": 120, \"segmentation\": [], \"iscrowd\": 0}]}"
#define CSV_HEAD "filename,width,height,class,xmin,ymin,xmax,ymax\n"

static const struct data_layout others[] = {
    {"Roboflow COCO",
     "check @",
     0,
     {"2 images, 2 boxes, 1 classes, 2 splits", "0 errors, 0 warnings"},
     {{"train/_annotations.coco.json", COCO("a.jpg", "0")},
      {"train/a.jpg", NULL},
      {"valid/_annotations.coco.json", COCO("b.jpg", "0")},
      {"valid/b.jpg", NULL},
      {"README.dataset.txt", "x"}}},
    {"the same, a file named by hand",
     "stats @/train/_annotations.coco.json",
     0,
     {"train        1 "},
     {{"train/_annotations.coco.json", COCO("a.jpg", "0")}, {"train/a.jpg", NULL}}},
    {"COCO's own folder",
     "check @",
     0,
     {"2 images, 2 boxes, 1 classes, 2 splits", "0 errors, 0 warnings"},
     {{"annotations/instances_train2017.json", COCO("a.jpg", "7")},
      {"annotations/instances_val2017.json", COCO("b.jpg", "8")},
      {"annotations/person_keypoints_train2017.json", COCO("a.jpg", "7")},
      {"annotations/captions_train2017.json",
       "{\"images\": [{\"id\": 7}], \"annotations\": [{\"caption\": \"a cat\"}]}"},
      {"train2017/a.jpg", NULL},
      {"val2017/b.jpg", NULL}}},
    {"keypoints alone",
     "check @",
     0,
     {"1 images, 1 boxes, 1 classes, 1 split"},
     {{"annotations/person_keypoints_default.json", COCO("a.jpg", "7")},
      {"images/default/a.jpg", NULL}}},
    {"an image in two splits of a table",
     "check @/a.csv",
     0,
     {"a.csv:3 (a.jpg): split `val`, but an earlier line of the image has `train`, which counts "
      "[split-leak]",
      "1 images, 2 boxes, 1 classes, 1 split"},
     {{"a.csv", "filename,class,xmin,ymin,xmax,ymax,split\n"
                "a.jpg,cat,1,2,30,20,train\na.jpg,cat,5,2,30,20,val\n"},
      {"a.jpg", NULL}}},
    {"the same with the split said",
     "check all=@/a.csv --strict",
     0,
     {"1 images, 2 boxes, 1 classes, 1 split"},
     {{"a.csv", "filename,class,xmin,ymin,xmax,ymax,split\n"
                "a.jpg,cat,1,2,30,20,train\na.jpg,cat,5,2,30,20,val\n"},
      {"a.jpg", NULL}}},
    {"Roboflow CSV",
     "stats @",
     0,
     {"train        1 ", "valid        1 "},
     {{"train/_annotations.csv", CSV_HEAD "a.jpg,40,30,cat,1,2,30,20\n"},
      {"train/a.jpg", NULL},
      {"valid/_annotations.csv", CSV_HEAD "b.jpg,40,30,cat,1,2,30,20\n"},
      {"valid/b.jpg", NULL}}},
    {"Roboflow for keras-retinanet",
     "check @",
     0,
     {"2 images, 1 boxes, 1 classes, 1 split"},
     {{"train/_annotations.csv", "a.jpg,1,2,30,20,cat\r\nb.jpg,,,,,\r\n"},
      {"train/_classes.csv", "cat,0\r\n"},
      {"train/a.jpg", NULL},
      {"train/b.jpg", NULL}}},
    {"VoTT CSV",
     "check @",
     0,
     {"1 images, 1 boxes"},
     {{"vott-csv-export/x-export.csv", "\"image\",\"xmin\",\"ymin\",\"xmax\",\"ymax\","
                                       "\"label\"\n\"a.jpg\",1.5,2.25,30,20.125,\"cat\"\n"},
      {"vott-csv-export/a.jpg", NULL}}},
    {"Excel's CSV: a mark, CR LF, semicolons",
     "check @/a.csv",
     0,
     {"1 images, 1 boxes"},
     {{"a.csv", "\xef\xbb\xbf"
                "filename;class;xmin;ymin;xmax;ymax\r\na.jpg;cat;1;2;30;20\r\n"},
      {"a.jpg", NULL}}},
    {"a table in another encoding",
     "convert @ --encoding GBK --to yolo --output @/out",
     0,
     {"1 images, 1 boxes"},
     {{"a.csv", CSV_HEAD "a.jpg,40,30,\xc3\xa8,1,2,30,20\n"}, {"a.jpg", NULL}}},
    {"the same, not said",
     "check @",
     1,
     {"a.csv:2: byte 0xc3 is no UTF-8: say what the file is with --encoding"},
     {{"a.csv", CSV_HEAD "a.jpg,40,30,\xc3(,1,2,30,20\n"}, {"a.jpg", NULL}}},
    {"Label Studio COCO of Windows",
     "check @",
     0,
     {"1 images, 1 boxes"},
     {{"result.json", COCO("images\\\\1a2b-a.jpg", "0")}, {"images/1a2b-a.jpg", NULL}}},
    {"COCO of pandas: NaN for what is not there",
     "convert @ --to csv --output @/out",
     0,
     {"[not-json]", "2 images, 2 boxes in 1 classes", NULL, "out/a.csv",
      "b.jpg,40,30,cat,5,5,20,25,"},
     {{"a.json", "{\"categories\": [{\"id\": 1, \"name\": \"cat\", \"supercategory\": NaN}], "
                 "\"images\": [{\"id\": 1, \"file_name\": \"a.jpg\", \"width\": NaN}, "
                 "{\"id\": 2, \"file_name\": \"b.jpg\"}], \"annotations\": ["
                 "{\"id\": NaN, \"image_id\": 1, \"category_id\": 1, \"bbox\": [2, 3, 10, 12], "
                 "\"area\": NaN, \"iscrowd\": NaN, \"segmentation\": NaN}, "
                 "{\"id\": 2, \"image_id\": 2, \"category_id\": 1, \"bbox\": NaN, "
                 "\"segmentation\": [[5, 5, 20, 5, 20, 25]]}]}"},
      {"a.jpg", NULL},
      {"b.jpg", NULL}}},
    {"COCO of Python: NaN, null, numbers in quotes",
     "check @/a.json",
     0,
     {"found `NaN`, expected a finite number: JSON has no NaN", "[not-json]", "0 errors"},
     {{"a.json",
       "{\"images\": [{\"id\": \"7\", \"file_name\": \"a.jpg\", \"height\": null}], "
       "\"categories\": "
       "[{\"id\": 1, \"name\": \"cat\"}], \"annotations\": [{\"id\": 1, \"image_id\": \"7\", "
       "\"category_id\": 1, \"bbox\": [1, 2, \"30\", 20], \"area\": null, \"iscrowd\": null, "
       "\"score\": NaN}]}"},
      {"a.jpg", NULL}}},
    {"COCO outlines: polygons and both kinds of masks",
     "convert @/a.json --to csv --nocopy_images --output @/out",
     0,
     {"1 images, 3 boxes", "no bbox: that around its segmentation is taken", [3] = "out/a.csv",
      [4] = "a.jpg,40,30,cat,1,2,22,9,0,0,0,0\na.jpg,40,30,cat,2,5,4,8,0,0,0,0\n"
            "a.jpg,40,30,cat,2,5,4,8,0,0,0,0\n"},
     {{"a.json",
       "{\"images\": [{\"id\": 1, \"file_name\": \"a.jpg\"}], \"categories\": [{\"id\": 1, "
       "\"name\": "
       "\"cat\"}], \"annotations\": [{\"image_id\": 1, \"category_id\": 1, \"segmentation\": [[1, "
       "2, 5, "
       "2, 5, 9], [20, 3, 22, 3, 22, 4]]}, {\"image_id\": 1, \"category_id\": 1, \"bbox\": [], "
       "\"segmentation\": {\"size\": [30, 40], \"counts\": [65, 3, 27, 3, 1102]}}, {\"image_id\": "
       "1, "
       "\"category_id\": 1, \"bbox\": null, \"segmentation\": {\"size\": [30, 40], \"counts\": "
       "\"Q23k00cQ1\"}}]}"},
      {"a.jpg", NULL}}},
};

static const struct data_layout xml[] = {
    {"labelImg VOC with a classes.txt",
     "check @",
     0,
     {"2 images, 2 boxes, 1 classes, 1 split", "0 errors, 0 warnings"},
     {{"classes.txt", "dog\nperson\n"},
      {"a.xml", VOC("a.jpg", "cat")},
      {"a.jpg", NULL},
      {"b.xml", VOC("b.jpg", "cat")},
      {"b.jpg", NULL}}},
    {"XML and YOLO labels beside each other",
     "check @",
     1,
     {": holds voc (", "a.xml) and yolo (", "say with --from which is meant"},
     {{"classes.txt", "cat\n"},
      {"a.xml", VOC("a.jpg", "cat")},
      {"a.jpg", NULL},
      {"b.txt", BOX},
      {"b.jpg", NULL}}},
    {"the same, said",
     "check @ --from yolo",
     0,
     {"2 images, 1 boxes"},
     {{"classes.txt", "cat\n"},
      {"a.xml", VOC("a.jpg", "cat")},
      {"a.jpg", NULL},
      {"b.txt", BOX},
      {"b.jpg", NULL}}},
    {"Roboflow VOC",
     "stats @",
     0,
     {"train        1 ", "valid        1 "},
     {{"train/a.xml", VOC("a.jpg", "cat")},
      {"train/a.jpg", NULL},
      {"valid/b.xml", VOC("b.jpg", "cat")},
      {"valid/b.jpg", NULL}}},
    {"Label Studio VOC: file names without an extension",
     "check @",
     0,
     {"1 images, 1 boxes", "0 errors"},
     {{"Annotations/1a.xml", VOC("1a", "cat")}, {"images/1a.jpg", NULL}}},
    {"CVAT VOC: names with blanks and folders, lists of classes",
     "stats @",
     0,
     {"default        2 "},
     {{"Annotations/my a.xml", VOC("my a.jpg", "cat")},
      {"Annotations/b.xml", VOC("sub/b.jpg", "cat")},
      {"ImageSets/Main/default.txt", "\"my a\"\nsub/b\n"},
      {"ImageSets/Main/cat_default.txt", "b  1\n"},
      {"JPEGImages/my a.jpg", NULL},
      {"JPEGImages/sub/b.jpg", NULL},
      {"labelmap.txt", "# label:color_rgb:parts:actions\ncat:::\n"}}},
    {"VOC in GB2312",
     "convert @ --to csv --output @/out",
     0,
     {"1 images, 1 boxes", [3] = "out/data.csv", [4] = "a.jpg,40,30,\xe7\x8c\xab,2,3,20,21"},
     {{"a.xml", "<?xml version=\"1.0\" encoding=\"GB2312\"?>" VOC("a.jpg", "\xc3\xa8")},
      {"a.jpg", NULL}}},
    {"a folder in the folder",
     "stats @",
     0,
     {"train        1 "},
     {{"VOC/Annotations/a.xml", VOC("a.jpg", "cat")},
      {"VOC/ImageSets/Main/train.txt", "a\n"},
      {"VOC/JPEGImages/a.jpg", NULL}}},
    {"CVAT for images, of a video",
     "check @",
     0,
     {"2 images, 1 boxes", "0 errors"},
     {{"annotations.xml",
       "<annotations><version>1.1</version><meta><task><labels><label><name>cat</name></label></"
       "labels>"
       "</task></meta><image id=\"0\" name=\"frame_000000\" width=\"40\" height=\"30\"><box "
       "label=\"cat\" occluded=\"0\" xtl=\"1\" ytl=\"2\" xbr=\"30\" ybr=\"20\" z_order=\"0\"></box>"
       "</image><image id=\"1\" name=\"frame_000001\" width=\"40\" "
       "height=\"30\"></image></annotations>"},
      {"images/frame_000000.PNG", NULL},
      {"images/frame_000001.PNG", NULL}}},
    {"CVAT for video",
     "check @",
     0,
     {"3 images, 3 boxes, 1 classes, 1 split", "0 errors"},
     {{"annotations.xml",
       "<annotations><version>1.1</version><meta><task><original_size><width>40</width>"
       "<height>30</height></original_size></task></meta><track id=\"0\" label=\"cat\"><box "
       "frame=\"0\" outside=\"0\" keyframe=\"1\" xtl=\"1\" ytl=\"2\" xbr=\"30\" ybr=\"20\"/><box "
       "frame=\"1\" outside=\"0\" keyframe=\"0\" xtl=\"2\" ytl=\"2\" xbr=\"30\" ybr=\"20\"/><box "
       "frame=\"2\" outside=\"1\" keyframe=\"1\" xtl=\"2\" ytl=\"2\" xbr=\"30\" "
       "ybr=\"20\"/></track>"
       "<track id=\"1\" label=\"cat\"><box frame=\"1\" outside=\"0\" keyframe=\"1\" xtl=\"5\" "
       "ytl=\"5\" xbr=\"9\" ybr=\"9\"/></track></annotations>"},
      {"images/frame_000000.jpg", NULL},
      {"images/frame_000001.jpg", NULL},
      {"images/frame_000002.jpg", NULL}}},
    {"an image in two lists",
     "stats @",
     0,
     {"image `b` is in train.txt and in val.txt (1 such names)", "train        2",
      "val          1"},
     {{"Annotations/a.xml", VOC("a.jpg", "cat")},
      {"Annotations/b.xml", VOC("b.jpg", "cat")},
      {"Annotations/c.xml", VOC("c.jpg", "cat")},
      {"ImageSets/Main/train.txt", "a\nb\na\n"},
      {"ImageSets/Main/val.txt", "b\nc\n"},
      {"JPEGImages/a.jpg", NULL},
      {"JPEGImages/b.jpg", NULL},
      {"JPEGImages/c.jpg", NULL}}},
    {"a list with a name that has no file",
     "check @",
     0,
     {"train.txt names `b`, but there is no such .xml file (2 such names) [path-stale]"},
     {{"Annotations/a.xml", VOC("a.jpg", "cat")},
      {"ImageSets/Main/train.txt", "c\nb\na\n"},
      {"JPEGImages/a.jpg", NULL}}},
    {"images in folders below --images",
     "check @/a.xml --images @/pictures",
     0,
     {"1 images, 1 boxes"},
     {{"a.xml", VOC("a.jpg", "cat")}, {"pictures/2024/may/a.jpg", NULL}}},
    {"an image that is nowhere, without --images",
     "check @/a.xml",
     1,
     {"a.xml: image `a.jpg` is neither in ", "nor near it, and no folder of images was given",
      "[image-missing]"},
     {{"a.xml", VOC("a.jpg", "cat")}, {"pictures/a.jpg", NULL}}},
    {"an image that is not in --images either",
     "check @/a.xml --images @/pictures",
     1,
     {"a.xml: image `a.jpg` is neither in ", "/pictures nor near it [image-missing]"},
     {{"a.xml", VOC("a.jpg", "cat")}, {"pictures/b.jpg", NULL}}},
    {"two images that may be meant",
     "check @/a.xml --images @/pictures",
     1,
     {"image `a.jpg` may be", "[image-ambiguous]"},
     {{"a.xml", VOC("a.jpg", "cat")}, {"pictures/1/a.jpg", NULL}, {"pictures/2/a.jpg", NULL}}},
};

static const struct data_layout empty[] = {
    {"no box",
     "check @",
     1,
     {"1 image, and not one box [no-box]"},
     {{"data.yaml", "train: images\nnames: [cat]\n"}, {"images/a.jpg", NULL}}},
    {"no box: convert",
     "convert @ --to csv --output @/out",
     1,
     {"nothing was written"},
     {{"data.yaml", "train: images\nnames: [cat]\n"}, {"images/a.jpg", NULL}}},
    {"no box: convert --fix",
     "convert @ --fix --to csv --output @/out",
     1,
     {"nothing was written"},
     {{"data.yaml", "train: images\nnames: [cat]\n"}, {"images/a.jpg", NULL}}},
    {"no box, asked for",
     "convert @ --allow_no_boxes --to csv --output @/out",
     0,
     {"1 images, 0 boxes in 1 classes"},
     {{"data.yaml", "train: images\nnames: [cat]\n"}, {"images/a.jpg", NULL}}},
    {"no class",
     "convert @/a.csv --allow_no_boxes --to tfrecord --output @/out",
     1,
     {"there is no class: give a --label_map"},
     {{"a.csv", CSV_HEAD "a.jpg,40,30,,,,,\n"}, {"a.jpg", NULL}}},
    {"no image: stats", "stats @/a.csv", 1, {"no image was read"}, {{"a.csv", CSV_HEAD}}},
    {"nothing known", "check @", 1, {"nothing in this folder holds boxes"}, {{"a.txt", "hello"}}},
    {"a file of no known kind", "check @/a.txt", 1, {"not plain from its name"}, {{"a.txt", "x"}}},
};

static void tables_and_json_are_read_as_they_are_exported(void **state)
{
    (void)state;
    data_layouts_run(others, sizeof others / sizeof *others);
}

static void xml_is_read_as_it_is_exported(void **state)
{
    (void)state;
    if (!data_layout_skips(det_xml_missing()))
        data_layouts_run(xml, sizeof xml / sizeof *xml);
}

static void data_without_a_box_stops(void **state)
{
    (void)state;
    if (!data_layout_skips(det_yaml_missing()))
        data_layouts_run(empty, sizeof empty / sizeof *empty);
}

/* Windows' shell writes what a program prints so. */
static void utf16_is_told_by_what_it_holds(void **state)
{
    (void)state;
    static const char *const texts[][2] = {{"a.json", COCO("a.jpg", "0")},
                                           {"a.csv", CSV_HEAD "a.jpg,40,30,cat,2,3,12,15\n"}};
    static char out[10000];
    for (int i = 0; i < 4; i++) {
        const struct data_file files[] = {{"a.jpg", NULL}, {NULL, NULL}};
        char folder[256], path[300];
        test_make_directory(folder, "layout");
        data_files_write(folder, files);
        snprintf(path, sizeof path, "%s/%s", folder, texts[i / 2][0]);
        data_file_write_utf16(path, texts[i / 2][1], i % 2 == 1);
        if (run_tool(out, sizeof out, "det-data check %s", folder) != 0)
            fail_msg("%s: %s", path, out);
        assert_non_null(strstr(out, "1 images, 1 boxes, 1 classes, 1 split"));
        test_remove_tree(folder);
    }
}

int test_data_layouts(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_and_json_are_read_as_they_are_exported),
        cmocka_unit_test(xml_is_read_as_it_is_exported),
        cmocka_unit_test(data_without_a_box_stops),
        cmocka_unit_test(utf16_is_told_by_what_it_holds),
    };
    return cmocka_run_group_tests_name("data_layouts", tests, NULL, NULL);
}
