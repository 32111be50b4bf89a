/*
 * Log lines for systemd-journald, in its own protocol, so that a reader can ask
 * for what is in them: journalctl MSIGD_ESCROW=ID. One datagram a line:
 * MESSAGE, PRIORITY, SYSLOG_IDENTIFIER, and each field as MSIGD_NAME. The
 * protocol is documented and stable (systemd.io/JOURNAL_NATIVE_PROTOCOL); written
 * here, it costs a process that holds a master key none of the libraries that
 * libsystemd brings. For log.c and main.c only.
 */
#ifndef COMMON_LOG_JOURNAL_H
#define COMMON_LOG_JOURNAL_H

#include <stdbool.h>

#include "common/log.h"

#define LOG_JOURNAL_SOCKET "/run/systemd/journal/socket"

/* Whether standard error goes to the journal (JOURNAL_STREAM, sd-journal(3)), and
 * its socket is at path: then log_journal_send() sends there. */
bool log_journal_take(const char *path);

/* priority: of syslog(3). message: the whole line, for people. What the journal
 * does not take within a moment is lost; how many lines are, is told later. */
void log_journal_send(const char *program, int priority, const char *message, const char *event,
    const struct log_field *fields);

#endif
