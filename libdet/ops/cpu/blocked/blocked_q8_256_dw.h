/* blocked_q8_256_dw.h: dw_rows() of blocked_q8_256.h, included behind what a set has for it:
 * dw_weights_of(), and dw_row_1() and dw_row_2(), a row of outputs of stride 1 and 2. */
static void dw_rows(const struct detk_dw_rows *job)
{
    const struct dw_weights k = dw_weights_of(job);
    for (int32_t y = 0; y < job->out_rows; y++) {
        const float *const *rows = job->rows + (ptrdiff_t)y * job->stride;
        float *out = job->out + y * job->out_row;
        if (job->stride == 1)
            dw_row_1(job, &k, rows, out);
        else
            dw_row_2(job, &k, rows, out);
    }
}
