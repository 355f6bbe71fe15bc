/* cpu_measurer.c: statistics of batches on the CPU: a network that runs forward only, or a training
 * step's, whose memory is then not needed twice. */
#include "devices/cpu/cpu_device.h"
#include "model/net.h"
#include "support/mem.h"

struct det_measurer {
    struct det_net *net;
    bool borrowed; /* the step's */
    const float *params;
};

det_status det_cpu_measurer_create(struct det_env *env, struct det_device *device,
                                   const struct det_graph *graph, const float *params,
                                   int32_t batch, struct det_step *idle, struct det_measurer **out)
{
    struct det_measurer *m = NULL;
    det_status status = DET_OK;
    *out = NULL;
    DET_TRY_RETURN(det_alloc(env, &m, 1, sizeof *m, "batch statistics"));
    *m = (struct det_measurer){.params = params, .borrowed = idle != NULL};
    if (m->borrowed)
        m->net = det_cpu_step_net(idle);
    else
        status =
            det_net_create(env, graph, device->ops, device->pool, batch, DET_NET_MEASURE, &m->net);
    if (status != DET_OK)
        det_cpu_measurer_destroy(env, &m);
    *out = m;
    return status;
}

void det_cpu_measurer_destroy(struct det_env *env, struct det_measurer **out)
{
    struct det_measurer *m = *out;
    if (m == NULL)
        return;
    if (!m->borrowed)
        det_net_destroy(env, &m->net);
    det_free(env, out);
}

det_status det_cpu_measurer_run(struct det_env *env, struct det_measurer *m, const float *images,
                                int32_t height, int32_t width)
{
    (void)env;
    det_net_set_images(m->net, images, height, width);
    det_net_forward(m->net, m->params);
    return DET_OK;
}

void det_cpu_measurer_statistics(const struct det_measurer *m, int32_t op, const float **mean,
                                 const float **variance)
{
    det_net_statistics(m->net, op, mean, variance);
}
