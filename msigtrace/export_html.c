/* export --format html: see export.h. One page that loads nothing and runs nothing:
 * the policy in it forbids both. */
#include <stdio.h>
#include <string.h>

#include "msigctl/text.h"
#include "msigtrace/export.h"
#include "msigtrace/view.h"

enum { ROWS_MAX = 5000 };

static const char page_head[] =
    "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<meta name=\"color-scheme\" content=\"light dark\">\n"
    "<title>msigtrace</title>\n<style>\n"
    ":root{--page:#fff;--ink:#1b1f24;--dim:#5d6670;--line:#d7dce1;--odd:#f5f7f9;--cut:#e4e8ec;--red:#b3261e;--redpale:#fdecea;"
    "--create:#9db7d5;--prepare:#7fc4b8;--make:#f0b35c;--exchange:#b79be0;--store:#b9c0c7;--look:#d3d9df;--green:#2e7d4f;"
    "--amber:#b26a00;--onbar:#14181c}\n"
    "@media(prefers-color-scheme:dark){:root{--page:#14171a;--ink:#e4e7ea;--dim:#9aa4ad;--line:#353b41;--odd:#1b1f23;--cut:#272c31;"
    "--red:#ff8a80;--redpale:#3a1d1b;--create:#4a6d94;--prepare:#2f7f72;--make:#9a6a1c;--exchange:#6c50a0;--store:#566069;"
    "--look:#424a52;--green:#7fd1a0;--amber:#ffb74d;--onbar:#f2f4f6}}\n"
    "body{margin:0 auto;padding:1.5rem;background:var(--page);color:var(--ink);font:15px/1.45 system-ui,sans-serif}\n"
    "h1{font-size:1.2rem;margin:0 0 1rem}h2{font-size:1.05rem;margin:2rem 0 .3rem;overflow-wrap:anywhere}\n"
    "p{margin:.2rem 0;max-width:70rem}.dim{color:var(--dim)}.ready{color:var(--green)}.failed{color:var(--red)}\n"
    ".found{border-left:4px solid var(--red);background:var(--redpale);padding:.5rem .8rem;margin:.6rem 0;max-width:70rem;"
    "overflow-wrap:anywhere}\n"
    ".found b{color:var(--red)}.found ul{margin:.4rem 0 0;padding-left:1.2rem;font-size:.87rem;color:var(--dim)}\n"
    ".scroll{overflow-x:auto;border:1px solid var(--line);border-radius:4px;margin:.7rem 0}svg{display:block;min-width:100%;font:12px system-ui,"
    "sans-serif}\n"
    "svg text{fill:var(--ink)}.lane{fill:var(--page)}.lane.odd{fill:var(--odd)}.name{font-weight:600}\n"
    ".grid{stroke:var(--line)}svg .tick{fill:var(--dim);text-anchor:middle;font-size:11px}.cut{fill:var(--cut)}\n"
    "svg .gap{fill:var(--dim);text-anchor:middle;font-size:11px}\n"
    ".create rect{fill:var(--create)}.prepare rect{fill:var(--prepare)}.make rect{fill:var(--make)}.exchange rect{fill:"
    "var(--exchange)}.store rect{fill:var(--store)}.look rect{fill:var(--look)}.worker rect{fill:var(--line)}\n"
    "g text{pointer-events:none}g.create text,g.prepare text,g.make text,g.exchange text,g.store text,g.look text{fill:var(--onbar);"
    "font-size:11px}\n"
    "g.bad rect{stroke:var(--red);stroke-width:2}g.bad .mark{fill:var(--red);font-weight:700;font-size:15px}\n"
    ".snapshot path{fill:none;stroke:var(--dim)}.snapshot.bad path{fill:var(--red);stroke:var(--red)}\n"
    ".point circle{fill:var(--dim)}.point.bad circle{fill:var(--red)}.point.notable circle{fill:var(--amber)}\n"
    ".phase line{stroke:var(--green);stroke-dasharray:3 3}.phase text{fill:var(--green);font-size:11px}\n"
    ".phase.failed line{stroke:var(--red)}.phase.failed text{fill:var(--red)}\n"
    ".legend span{display:inline-block;margin-right:1rem;font-size:.85rem}.legend i{display:inline-block;width:.9rem;height:.9rem;"
    "border-radius:2px;vertical-align:-.12rem;margin-right:.3rem}\n"
    "table{border-collapse:collapse;font-size:.84rem;width:100%}th,td{text-align:left;padding:.12rem .6rem;border-bottom:1px solid "
    "var(--line);vertical-align:top;overflow-wrap:anywhere}th{color:var(--dim);font-weight:600}\n"
    "td.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}tr.bad td{color:var(--red)}tr.notable td{color:"
    "var(--amber)}details{margin:.5rem 0}summary{cursor:pointer}\n"
    "</style></head><body>\n";

static const char legend[] =
    "<p class=\"legend\"><span><i style=\"background:var(--create)\"></i>create, open</span>"
    "<span><i style=\"background:var(--prepare)\"></i>prepare</span><span><i style=\"background:var(--make)\"></i>make</span>"
    "<span><i style=\"background:var(--exchange)\"></i>exchange</span><span><i style=\"background:var(--store)\"></i>store, close</span>"
    "<span><i style=\"background:var(--look)\"></i>looks</span><span>&#9671; snapshot</span><span>&#9679; event</span>"
    "<span class=\"dim\">grey columns: time cut out</span></p>\n";

/* U+200B to 200F, 202A to 202E, 2060 to 206F, FEFF: as text_safe() has it. */
static bool
is_deceiving(const unsigned char *c)
{
	if (c[0] == 0xe2 && c[1] == 0x80)
		return (c[2] >= 0x8b && c[2] <= 0x8f) || (c[2] >= 0xaa && c[2] <= 0xae);
	if (c[0] == 0xe2 && c[1] == 0x81)
		return c[2] >= 0xa0 && c[2] <= 0xaf;
	return c[0] == 0xef && c[1] == 0xbb && c[2] == 0xbf;
}

/* In bytes; 0: it is not whole, as the last one of a text that was cut may be. */
static size_t
length_of(const unsigned char *c)
{
	size_t length = *c < 0x80 ? 1 : *c < 0xc2 ? 0 : *c < 0xe0 ? 2 : *c < 0xf0 ? 3 : *c < 0xf5 ? 4 : 0;

	for (size_t i = 1; i < length; i++) {
		if ((c[i] & 0xc0) != 0x80)
			return 0;
	}
	return length;
}

/* Control characters are shown as text_safe() would; so are the characters that turn
 * the direction of writing. What is no character becomes U+FFFD. */
void
html_text(FILE *out, const char *text)
{
	size_t length;

	for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c += length > 0 ? length : 1) {
		length = length_of(c);
		if (length == 0) {
			fputs("\xef\xbf\xbd", out);
		} else if (is_deceiving(c)) {
			fputc('?', out);
		} else if (c[0] == 0xc2 && c[1] < 0xa0) {
			fprintf(out, "\\x%02x", c[1]);
		} else if (length > 1) {
			fwrite(c, 1, length, out);
		} else if (*c < 0x20 || *c == 0x7f) {
			fprintf(out, "\\x%02x", *c);
		} else if (strchr("&<>\"'", *c) != NULL) {
			fprintf(out, "&#%d;", *c);
		} else {
			fputc(*c, out);
		}
	}
}

static void
write_head(FILE *out, const struct diagnosis *d, size_t trace)
{
	const struct traced *t = &d->traced[trace];
	bool failed = t->result.result == RESULT_FAILED;
	char name[64], ms[VIEW_MS], date[TEXT_TIME];

	view_ms(t->result.total_ms, ms);
	text_iso(t->trace->started_at, date, sizeof date);
	fputs("<h2>", out);
	html_text(out, escrow_name(d, trace, name));
	fputs("</h2>\n<p>", out);
	if (*t->trace->label != '\0') {
		html_text(out, t->trace->label);
		fputs(" &middot; ", out);
	}
	fprintf(out, "<b class=\"%s\">%s</b> %s, attempt %lld &middot; began %s &middot; %zu events, %zu calls</p>\n",
	    failed ? "failed" : "ready", failed ? "Failed after" : t->result.end != NULL ? "Ready after" : "under way or cut off, so far", ms,
	    (long long)t->result.attempt, date, t->trace->count, t->calls.count);
	if (t->trace->cut || t->trace->skipped > 0 || t->trace->full)
		fputs("<p class=\"failed\">The file is not whole: see msigtrace show.</p>\n", out);
}

static void
write_finding(FILE *out, const struct finding *f, bool many)
{
	const json_t *e;
	size_t i;

	fprintf(out, "<div class=\"found\"><b>%s</b>: ", f->rule->name);
	html_text(out, f->what);
	fputs(".<p>To do: ", out);
	html_text(out, f->remedy[0] != '\0' ? f->remedy : f->rule->remedy);
	fputs("</p><ul>", out);
	json_array_foreach(f->evidence, i, e) {
		const char *file = text_of(e, "file");
		fputs("<li>", out);
		if (many)
			html_text(out, strrchr(file, '/') != NULL ? strrchr(file, '/') + 1 : file);
		if (*text_of(e, "event") != '\0')
			fprintf(out, " %+.1f ms ", number_of(e, "t_ms", 0));
		html_text(out, text_of(e, "role"));
		fputs(" ", out);
		html_text(out, text_of(e, "event"));
		fputs(" &mdash; ", out);
		html_text(out, text_of(e, "note"));
		fputs("</li>", out);
	}
	fputs("</ul></div>\n", out);
}

static void
write_rows(FILE *out, const struct trace *t)
{
	size_t rows = 0;

	fputs("<details><summary>All events</summary><table><tr><th>#</th><th>at</th><th>role</th><th>type</th><th></th></tr>\n", out);
	for (const struct event *e = t->events; e < t->events + t->count && rows < ROWS_MAX; e++, rows++) {
		char mark = view_mark(e, false), text[VIEW_EVENT];
		view_event(e, text);
		fprintf(out, "<tr class=\"%s\"><td class=\"n\">%lld</td><td class=\"n\">%+.1f ms</td><td>%s</td><td>",
		    mark == '!' ? "bad" : mark == '*' ? "notable" : "", (long long)e->seq, e->t_ms, view_role(e->role));
		html_text(out, e->type_name);
		fputs("</td><td>", out);
		html_text(out, text);
		fputs("</td></tr>\n", out);
	}
	if (rows < t->count)
		fprintf(out, "<tr><td></td><td colspan=\"4\">and %zu more: see msigtrace timeline</td></tr>\n", t->count - rows);
	fputs("</table></details>\n", out);
}

bool
export_html(FILE *out, const struct diagnosis *d)
{
	size_t next = 0;

	fputs(page_head, out);
	fprintf(out, "<h1>%zu escrow%s, %zu problem%s found</h1>\n", d->count, d->count == 1 ? "" : "s", d->finding_count,
	    d->finding_count == 1 ? "" : "s");
	fputs(legend, out);
	for (size_t i = 0; i < d->count; i++) {
		write_head(out, d, i);
		for (; next < d->finding_count && d->findings[next].trace == i; next++)
			write_finding(out, &d->findings[next], d->count > 1);
		if (!export_svg(out, &d->traced[i]))
			return false;
		write_rows(out, d->traced[i].trace);
	}
	fputs("</body></html>\n", out);
	return true;
}
