/* status without an id: how msigd stands as a whole. */
#ifndef MSIGCTL_STATUS_VIEW_H
#define MSIGCTL_STATUS_VIEW_H

#include "msigctl/command.h"

enum exit_status status_overview(const struct context *context);

#endif
