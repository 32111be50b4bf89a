/*
 * metrics-file: the metrics for the textfile collector of node_exporter, in the
 * older text format, which alone it reads. Written whole under another name and
 * renamed: at start, every 15 seconds, at reload and at a clean stop. A file that
 * cannot be written is told once, and stops nothing.
 */
#ifndef SUPERVISOR_METRICS_FILE_H
#define SUPERVISOR_METRICS_FILE_H

struct metrics_file;
struct supervisor;

/* Writes it the first time. NULL: none is configured, or out of memory. */
struct metrics_file *metrics_file_new(struct supervisor *sv);
void metrics_file_write(struct metrics_file *file);
/* Writes it the last time. */
void metrics_file_free(struct metrics_file *file);

#endif
