/*
 * The lanes of one escrow as SVG: a lane for msigd and its workers, one for each
 * role. A bar is a call, a diamond a snapshot, a line through all lanes a change of
 * phase. Where nothing happens for long, time is cut out and said how much.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "msigtrace/export.h"
#include "msigtrace/view.h"

enum {
	LEFT = 78, TOP = 50, LANE = 52, BAR = 22, RIGHT = 24, FOOT = 26,
	LANES = ROLE_COUNT + 1,
	WIDTH_MIN = 960, WIDTH_MAX = 12000, WIDTH_OF_CALL = 12,
	CUT_MS = 2000,      /* that long without anything is cut out */
	CUT_WIDTH = 56,
	LETTER = 7, LABEL_ROWS = 3, LABEL_HEIGHT = 13
};

/* A time between which and the next one something is under way, or nothing. */
struct span {
	double from, to;
};

/* How time becomes place. */
struct axis {
	struct span *busy;   /* in order, apart by more than CUT_MS */
	size_t count;
	double scale;        /* pixels for a millisecond */
	double width;
};

/* --- time and place --------------------------------------------------------------- */

static int
by_from(const void *a, const void *b)
{
	const struct span *x = a, *y = b;

	return x->from < y->from ? -1 : x->from > y->from;
}

/* Everything that takes time or happens, from 0 on; then what touches becomes one. */
static bool
axis_open(struct axis *axis, const struct traced *t)
{
	size_t n = 0, calls = t->calls.count, most[LANES] = {0}, width = 0;
	double busy = 0;

	axis->busy = calloc(calls + t->trace->count + 1, sizeof *axis->busy);
	if (axis->busy == NULL)
		return false;
	axis->busy[n++] = (struct span){0, 0};
	for (const struct call *c = t->calls.list; c < t->calls.list + calls; c++) {
		axis->busy[n++] = (struct span){c->t_ms, c->t_ms + (c->duration_ms > 0 ? c->duration_ms : 0)};
		width = ++most[c->at->role] > width ? most[c->at->role] : width;
	}
	for (const struct event *e = t->trace->events; e < t->trace->events + t->trace->count; e++)
		axis->busy[n++] = (struct span){e->t_ms, e->t_ms};
	qsort(axis->busy, n, sizeof *axis->busy, by_from);
	axis->count = 0;
	for (size_t i = 0; i < n; i++) {
		struct span *last = axis->count > 0 ? &axis->busy[axis->count - 1] : NULL;
		if (last != NULL && axis->busy[i].from <= last->to + CUT_MS)
			last->to = axis->busy[i].to > last->to ? axis->busy[i].to : last->to;
		else
			axis->busy[axis->count++] = axis->busy[i];
	}
	for (size_t i = 0; i < axis->count; i++)
		busy += axis->busy[i].to - axis->busy[i].from;
	width *= WIDTH_OF_CALL;
	width = width < WIDTH_MIN ? WIDTH_MIN : width > WIDTH_MAX ? WIDTH_MAX : width;
	axis->scale = (double)width / (busy > 1 ? busy : 1);
	axis->width = busy * axis->scale + (double)(axis->count - 1) * CUT_WIDTH;
	return true;
}

static double
x_of(const struct axis *axis, double ms)
{
	double x = LEFT;

	for (size_t i = 0; i < axis->count; i++) {
		const struct span *s = &axis->busy[i];
		if (ms <= s->to || i + 1 == axis->count)
			return x + (ms > s->from ? ms - s->from : 0) * axis->scale;
		x += (s->to - s->from) * axis->scale + CUT_WIDTH;
	}
	return x;
}

/* A step of 1, 2 or 5 that leaves room for its figures. */
static double
tick_of(const struct axis *axis)
{
	static const double steps[] = {2, 2.5, 2};
	double tick = 1;

	for (size_t i = 0; tick * axis->scale < 80; i++)
		tick *= steps[i % 3];
	return tick;
}

static void
draw_axis(FILE *out, const struct axis *axis)
{
	enum { TICKS_MAX = 400 };
	double tick = tick_of(axis), bottom = TOP + LANES * LANE, x = LEFT;
	int ticks = 0;

	for (size_t i = 0; i < axis->count; i++) {
		const struct span *s = &axis->busy[i];
		char text[VIEW_MS];
		for (double ms = (double)(long long)(s->from / tick) * tick; ms <= s->to && ticks < TICKS_MAX; ms += tick) {
			if (ms < s->from)
				continue;
			ticks++;
			fprintf(out, "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%.0f\"/>\n", x_of(axis, ms), x_of(axis, ms), TOP,
			    bottom);
			if (tick < 1000)
				snprintf(text, sizeof text, "%.0f ms", ms);
			else
				snprintf(text, sizeof text, "%.0f s", ms / 1000);
			fprintf(out, "<text class=\"tick\" x=\"%.1f\" y=\"%.0f\">%s</text>\n", x_of(axis, ms), bottom + 15, text);
		}
		if (i + 1 == axis->count)
			break;
		x = x_of(axis, s->to);
		view_ms(axis->busy[i + 1].from - s->to, text);
		fprintf(out, "<rect class=\"cut\" x=\"%.1f\" y=\"%d\" width=\"%d\" height=\"%d\"/>"
		    "<text class=\"gap\" x=\"%.1f\" y=\"%d\">%s</text>\n", x + 4, TOP, CUT_WIDTH - 8, LANES * LANE, x + CUT_WIDTH / 2.0,
		    TOP + 12, text);
	}
}

/* --- what is drawn ------------------------------------------------------------------ */

static int
lane_y(enum role role)
{
	return TOP + (role == ROLE_COUNT ? 0 : 1 + (int)role) * LANE;
}

static void
title(FILE *out, const struct event *e)
{
	char text[VIEW_EVENT];

	view_event(e, text);
	fprintf(out, "<title>%+.1f ms %s: ", e->t_ms, view_role(e->role));
	html_text(out, text);
	fputs("</title>", out);
}

/* Which colour a call has. */
static const char *
class_of(const char *method)
{
	static const struct {
		const char *begins, *class;
	} classes[] = {{"create", "create"}, {"open", "create"}, {"restore", "create"}, {"prepare", "prepare"}, {"make", "make"},
	    {"exchange", "exchange"}, {"store", "store"}, {"close", "store"}};

	for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
		if (strncmp(method, classes[i].begins, strlen(classes[i].begins)) == 0)
			return classes[i].class;
	}
	return "look";
}

static void
draw_call(FILE *out, const struct axis *axis, const struct call *c, double last_ms)
{
	double to = c->duration_ms >= 0 ? c->t_ms + c->duration_ms : last_ms, x = x_of(axis, c->t_ms), width = x_of(axis, to) - x;
	int y = lane_y(c->at->role) + 8;
	size_t letters = strlen(c->at->method);

	width = width < 2 ? 2 : width;
	fprintf(out, "<g class=\"%s%s\"><rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\" rx=\"2\"/>", class_of(c->at->method),
	    call_is_bad(c) ? " bad" : "", x, y, width, BAR);
	if ((double)letters * LETTER + 6 < width) {
		fprintf(out, "<text x=\"%.1f\" y=\"%d\">", x + 4, y + 15);
		html_text(out, c->at->method);
		fputs("</text>", out);
	}
	if (call_is_bad(c))
		fprintf(out, "<text class=\"mark\" x=\"%.1f\" y=\"%d\">!</text>", x + width + 2, y + 16);
	title(out, c->end != NULL ? c->end : c->start);
	fputs("</g>\n", out);
}

/* A phase begins. Its name goes into the first row that has room there; free_from is
 * where that begins in each. Without room it has none: pointing at the line tells it. */
static void
draw_phase(FILE *out, const struct axis *axis, const struct event *e, double free_from[LABEL_ROWS])
{
	double x = x_of(axis, e->t_ms);
	const char *phase = event_text(e, "phase");
	int row = 0;

	while (row < LABEL_ROWS && free_from[row] > x)
		row++;
	fprintf(out, "<g class=\"phase%s\"><line x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>", strcmp(phase, "Failed") == 0 ? " failed" : "",
	    x, x, TOP - 4 - (row < LABEL_ROWS ? row : 0) * LABEL_HEIGHT, TOP + LANES * LANE);
	if (row < LABEL_ROWS) {
		fprintf(out, "<text x=\"%.1f\" y=\"%d\">", x + 3, TOP - 6 - row * LABEL_HEIGHT);
		html_text(out, phase);
		fputs("</text>", out);
		free_from[row] = x + 6 + (double)strlen(phase) * LETTER;
	}
	title(out, e);
	fputs("</g>\n", out);
}

static void
draw_point(FILE *out, const struct axis *axis, const struct event *e)
{
	double x = x_of(axis, e->t_ms), y = lane_y(e->role) + 40;
	char mark = view_mark(e, false);

	if (event_is_snapshot(e))
		fprintf(out, "<g class=\"snapshot%s\"><path d=\"M%.1f %.1fl4 4l-4 4l-4-4z\"/>", mark == '!' ? " bad" : "", x, y - 4);
	else
		fprintf(out, "<g class=\"point%s\"><circle cx=\"%.1f\" cy=\"%.1f\" r=\"%s\"/>", mark == '!' ? " bad" : mark == '*' ? " notable" : "",
		    x, e->role == ROLE_COUNT ? y - 8 : y, mark == ' ' ? "2.5" : "4.5");
	title(out, e);
	fputs("</g>\n", out);
}

/* From WORKER_STARTED to WORKER_EXITED. */
static void
draw_workers(FILE *out, const struct axis *axis, const struct trace *t)
{
	const struct event *began = NULL;
	const struct event *end = t->events + t->count;

	for (const struct event *e = t->events; e <= end; e++) {
		double x, width;
		const struct event *last = e < end ? e : e - 1;
		bool ends = e == end || e->type == WORKER_EXITED || e->type == WORKER_STARTED;

		if (began != NULL && ends) {
			x = x_of(axis, began->t_ms);
			width = x_of(axis, last->t_ms) - x;
			fprintf(out, "<g class=\"worker%s\"><rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\" rx=\"2\"/>",
			    e < end && view_mark(e, false) == '!' ? " bad" : "", x, lane_y(ROLE_COUNT) + 8, width < 2 ? 2 : width, 12);
			title(out, e < end && e->type == WORKER_EXITED ? e : began);
			fputs("</g>\n", out);
			began = NULL;
		}
		if (e < end && e->type == WORKER_STARTED)
			began = e;
	}
}

static void
draw_lanes(FILE *out)
{
	static const char *const names[LANES] = {"msigd", "buyer", "vendor", "arbiter"};

	for (int i = 0; i < LANES; i++)
		fprintf(out, "<rect class=\"lane%s\" x=\"0\" y=\"%d\" width=\"100%%\" height=\"%d\"/><text class=\"name\" x=\"8\" y=\"%d\">%s</text>\n",
		    i % 2 == 1 ? " odd" : "", TOP + i * LANE, LANE, TOP + i * LANE + 24, names[i]);
}

bool
export_svg(FILE *out, const struct traced *t)
{
	const struct trace *trace = t->trace;
	double last = trace->count > 0 ? trace->events[trace->count - 1].t_ms : 0, width;
	struct axis axis;
	double free_from[LABEL_ROWS] = {0};

	if (!axis_open(&axis, t))
		return false;
	width = LEFT + axis.width + RIGHT + 40;
	fprintf(out, "<div class=\"scroll\"><svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%d\" role=\"img\">\n", width,
	    TOP + LANES * LANE + FOOT);
	draw_lanes(out);
	draw_axis(out, &axis);
	draw_workers(out, &axis, trace);
	for (const struct call *c = t->calls.list; c < t->calls.list + t->calls.count; c++)
		draw_call(out, &axis, c, last);
	for (const struct event *e = trace->events; e < trace->events + trace->count; e++) {
		if (e->type == STATE_CHANGE)
			draw_phase(out, &axis, e, free_from);
		else if (e->type > RPC_CALL_ERROR && e->type != WORKER_STARTED && e->type != FILE_OPERATION)
			draw_point(out, &axis, e);
	}
	fputs("</svg></div>\n", out);
	free(axis.busy);
	return true;
}
