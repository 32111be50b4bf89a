/* The command export. */
#include "msigtrace/export.h"

#include <string.h>

#include "msigtrace/msigtrace.h"

static bool
write_chrome(const struct diagnosis *d)
{
	json_t *json = export_chrome(d);

	if (json == NULL)
		return false;
	view_json(json);
	return true;
}

/* With -j the page is a string in a document. */
static bool
write_html(const struct context *context, const struct diagnosis *d)
{
	char *page = NULL;
	size_t size = 0;
	FILE *out;
	bool good;

	if (!context->json)
		return export_html(stdout, d);
	if ((out = open_memstream(&page, &size)) == NULL)
		return false;
	good = export_html(out, d);
	good = fclose(out) == 0 && good;
	if (good)
		view_json(json_pack("{s:s, s:o}", "format", "html", "page", view_json_text(page)));
	free(page);
	return good;
}

enum exit_status
export_run(const struct context *context, const struct arguments *arguments)
{
	const char *format = arguments_value(arguments, "format");
	bool html = format != NULL && strcmp(format, "html") == 0, read, good;
	struct traces traces;
	struct diagnosis d;

	if (!html && (format == NULL || strcmp(format, "chrome") != 0)) {
		complain(context, format == NULL ? "which format? --format chrome or --format html" :
		    "--format \"%s\": chrome or html", format);
		return STATUS_USAGE;
	}
	read = traces_read(context, arguments, &traces);
	good = diagnose(&d, traces.list, traces.count);
	if (good && traces.count > 0)
		good = html ? write_html(context, &d) : write_chrome(&d);
	if (!good)
		complain(context, "out of memory");
	diagnosis_free(&d);
	traces_free(&traces);
	return read && good ? STATUS_CLEAN : STATUS_UNREADABLE;
}
