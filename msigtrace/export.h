/* The two forms of export, as writers on a stream. Nothing in a trace can break out
 * of them: JSON is ASCII, and HTML has its five characters replaced. */
#ifndef MSIGTRACE_EXPORT_H
#define MSIGTRACE_EXPORT_H

#include <stdio.h>

#include "msigtrace/diagnose.h"

/* Trace events for chrome://tracing and Perfetto: a process for each escrow, a
 * thread for each role. The caller's; NULL: out of memory. */
json_t *export_chrome(const struct diagnosis *d);

/* One page. False: out of memory; what was written then is no page. */
bool export_html(FILE *out, const struct diagnosis *d);

/* --- parts of the page ------------------------------------------------------------- */

/* Text as it may stand in HTML, also in an attribute. */
void html_text(FILE *out, const char *text);

/* The lanes of one escrow (export_svg.c). */
bool export_svg(FILE *out, const struct traced *traced);

#endif
