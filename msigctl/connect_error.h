/* Why nobody could be reached on the socket, in words that say what to do. */
#ifndef MSIGCTL_CONNECT_ERROR_H
#define MSIGCTL_CONNECT_ERROR_H

#include "msigctl/command.h"

/* Tries once more by hand (libcurl tells only that it failed), and says why it
 * cannot be done. */
void connect_error_say(const struct context *context);

/* Whether the path fits the address of a Unix socket (107 bytes). */
bool connect_path_fits(const char *path);

#endif
