/* Help from the table of commands. */
#ifndef MSIGCTL_HELP_H
#define MSIGCTL_HELP_H

#include <stdio.h>

#include "msigctl/command.h"

void help_general(FILE *stream);
void help_command(FILE *stream, const struct command *command);

#endif
