/* A finding as JSON: msigtrace(1) describes its members. */
#ifndef MSIGTRACE_DIAGNOSE_VIEW_H
#define MSIGTRACE_DIAGNOSE_VIEW_H

#include "msigtrace/diagnose.h"

/* The caller's. */
json_t *finding_json(const struct diagnosis *d, const struct finding *f);

#endif
