#include "formats/pipeline_architecture.h"

#include <string.h>

#define EXTRACTOR "ssd_mobilenet_v2_fpn_keras"
#define DOES      "libdet does SSD MobileNet V2 FPN and FPNLite"

/* Beginnings of the types that builders/model_builder.py knows, a longer one before a shorter. */
static const struct {
    const char *type, *network;
} networks[] = {
    {"ssd_mobilenet_v2_fpn", "the TensorFlow 1 form of it"},
    {"ssd_mobilenet_v2_mnasfpn", "SSD MobileNet V2 MnasFPN"},
    {"ssd_mobilenet_v2", "SSD MobileNet V2 without FPN"},
    {"ssd_mobilenet_v1_fpn", "SSD MobileNet V1 FPN"},
    {"ssd_mobilenet_v1", "SSD MobileNet V1 without FPN"},
    {"ssd_mobilenet_v3", "SSD MobileNet V3"},
    {"ssd_mobilenet_edgetpu", "SSD MobileNet EdgeTPU"},
    {"ssd_mobiledet", "SSD MobileDet"},
    {"ssd_resnet", "SSD ResNet (RetinaNet)"},
    {"ssd_efficientnet", "EfficientDet"},
    {"ssd_inception", "SSD Inception"},
    {"ssd_spaghettinet", "SSD SpaghettiNet"},
    {"ssd_pnasnet", "SSD PNASNet"},
    {"embedded_ssd", "embedded SSD MobileNet V1"},
    {"faster_rcnn", "Faster R-CNN"},
};

static const struct {
    const char *field, *network;
} architectures[] = {
    {"faster_rcnn", "Faster R-CNN"},
    {"center_net", "CenterNet"},
    {"experimental_model", "an experimental model"},
};

static det_status wrong_extractor(struct det_env *env, const struct det_pipeline_config *config,
                                  const struct det_prototext_field *type)
{
    const char *network = NULL;
    for (size_t i = 0; network == NULL && i < sizeof networks / sizeof networks[0]; i++)
        if (strncmp(type->text, networks[i].type, strlen(networks[i].type)) == 0)
            network = networks[i].network;
    return det_prototext_fail(env, DET_STATUS_UNSUPPORTED, &config->document, type->position,
                              "feature extractor \"%.80s\" is not supported: \"" EXTRACTOR
                              "\" is%s%s%s",
                              type->text, network != NULL ? " (this is " : "",
                              network != NULL ? network : "", network != NULL ? "; " DOES ")" : "");
}

det_status det_pipeline_config_check_architecture(struct det_env *env,
                                                  const struct det_pipeline_config *config)
{
    const struct det_prototext_field *model = det_prototext_find(&config->document.root, "model");
    if (model == NULL)
        return DET_OK;
    for (size_t i = 0; i < sizeof architectures / sizeof architectures[0]; i++) {
        const struct det_prototext_field *at = det_prototext_find(model, architectures[i].field);
        if (at != NULL)
            return det_prototext_fail(env, DET_STATUS_UNSUPPORTED, &config->document, at->position,
                                      "field `model.%s` is not supported: this is %s; " DOES
                                      " (`model.ssd` with feature extractor \"" EXTRACTOR "\")",
                                      at->name, architectures[i].network);
    }
    const struct det_prototext_field *at = det_prototext_find(model, "ssd");
    at = at != NULL ? det_prototext_find(at, "feature_extractor") : NULL;
    at = at != NULL ? det_prototext_find(at, "type") : NULL;
    if (at == NULL || at->kind != DET_PROTOTEXT_STRING || strcmp(at->text, EXTRACTOR) == 0)
        return DET_OK; /* what is missing is told later */
    return wrong_extractor(env, config, at);
}
