#include "train/ranks.h"

#include <unistd.h>

#include "common/console.h"

/* From the word that a rank is lost to the end of this process, whatever it is busy with; that of
 * the message is before. */
enum { SECONDS_TO_END = 8 };

void ranks_prepare(void)
{
    if (det_launched_rank() > 0)
        console_be_quiet();
}

/* From another thread. What waits for the other ranks returns by itself; what does not must not
 * keep their machines. Who is asked to stop has the time that saving takes. */
static void on_lost(void *user, det_status status, const char *message, int first_hand)
{
    struct ranks *ranks = user;
    (void)message;
    ranks->found_out = first_hand != 0;
    if (status != DET_STATUS_CANCELLED)
        alarm(SECONDS_TO_END);
}

det_status ranks_open(struct tool *tool, struct ranks *ranks)
{
    det_communicator_settings settings;
    *ranks = (struct ranks){NULL, false};
    if (det_launched_ranks() == 1)
        return DET_OK;
    det_communicator_settings_default(&settings);
    settings.lost = on_lost;
    settings.lost_user = ranks;
    return det_communicator_open_mpi(tool->context, &settings, &ranks->communicator);
}

bool ranks_is_first(const struct ranks *ranks)
{
    return det_communicator_rank(ranks->communicator) == 0;
}

det_status ranks_agree(struct tool *tool, const struct ranks *ranks, det_status status)
{
    if (ranks->communicator == NULL)
        return status;
    return det_communicator_agree(ranks->communicator, status,
                                  status != DET_OK ? tool_message(tool, status) : NULL);
}

int ranks_fail(struct tool *tool, const struct ranks *ranks, det_status status)
{
    if (ranks->communicator == NULL || ranks_is_first(ranks) || ranks->found_out)
        return tool_fail(tool, status);
    return TOOL_EXIT_ERROR;
}

void ranks_close(struct ranks *ranks)
{
    det_communicator_close(&ranks->communicator);
}
