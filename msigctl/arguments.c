/* See arguments.h. getopt's own messages are switched off: ours name the
 * command and what was probably meant. */
#include "msigctl/arguments.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "common/uuid.h"
#include "msigctl/output.h"
#include "common/suggest.h"

enum { OPTIONS_MAX = 24, FIRST_LONG = 256 };

/* What getopt_long is given: global options and the command's own. */
struct option_set {
	const struct option_spec *specs[OPTIONS_MAX];
	struct option longs[OPTIONS_MAX + 1];
	char letters[2 * OPTIONS_MAX + 4];
	int count;
};

static void
set_add(struct option_set *set, const struct option_spec *spec)
{
	size_t end = strlen(set->letters);

	if (set->count == OPTIONS_MAX)
		return;
	set->specs[set->count] = spec;
	set->longs[set->count] = (struct option){spec->name,
	    spec->argument != NULL ? required_argument : no_argument, NULL, FIRST_LONG + set->count};
	set->count++;
	if (spec->letter == 0)
		return;
	set->letters[end++] = spec->letter;
	if (spec->argument != NULL)
		set->letters[end++] = ':';
	set->letters[end] = '\0';
}

static void
set_build(struct option_set *set, const struct command *command)
{
	memset(set, 0, sizeof *set);
	/* before the command, stop at the first word that is no option */
	strcpy(set->letters, command == NULL ? "+:" : ":");
	for (const struct option_spec *s = global_options; s->name != NULL; s++)
		set_add(set, s);
	if (command == NULL || command->options == NULL)
		return;
	for (const struct option_spec *s = command->options; s->name != NULL; s++)
		set_add(set, s);
}

static const struct option_spec *
set_find(const struct option_set *set, int value)
{
	if (value >= FIRST_LONG && value < FIRST_LONG + set->count)
		return set->specs[value - FIRST_LONG];
	for (int i = 0; i < set->count; i++)
		if (set->specs[i]->letter == value)
			return set->specs[i];
	return NULL;
}

static bool
is_option_of_some_command(const char *name)
{
	for (const struct command *c = commands; c->name != NULL; c++)
		for (const struct option_spec *s = c->options; s != NULL && s->name != NULL; s++)
			if (strcmp(s->name, name) == 0)
				return true;
	return false;
}

static void
say_unknown(const struct context *context, const struct option_set *set, const char *word)
{
	const char *names[OPTIONS_MAX], *meant;
	char name[64];

	if (optopt != 0) { /* a short one */
		complain(context, "unknown option -%c", optopt);
		return;
	}
	snprintf(name, sizeof name, "%.*s", (int)strcspn(word + 2, "="), word + 2);
	if (context->command == NULL && is_option_of_some_command(name)) {
		complain(context, "option --%s comes behind its command", name);
		return;
	}
	for (int i = 0; i < set->count; i++)
		names[i] = set->specs[i]->name;
	meant = suggest(name, names, (size_t)set->count);
	if (meant != NULL)
		complain(context, "unknown option --%s; did you mean --%s?", name, meant);
	else
		complain(context, "unknown option --%s", name);
}

/* getopt returned '?' or ':'. word is what it looked at. */
static bool
say_bad_option(const struct context *context, const struct option_set *set, int result, const char *word)
{
	const struct option_spec *spec = optopt != 0 ? set_find(set, optopt) : NULL;

	if (spec == NULL)
		say_unknown(context, set, word);
	else if (result == ':')
		complain(context, "option --%s needs a value: --%s %s", spec->name, spec->name, spec->argument);
	else
		complain(context, "option --%s takes no value", spec->name);
	return false;
}

static bool
take_global(struct context *context, struct arguments *arguments, char letter, const char *value)
{
	switch (letter) {
	case 'j': context->json = true; return true;
	case 'q': context->quiet = true; return true;
	case 's': context->socket = value; return true;
	case 'V': arguments->version = true; return true;
	case 'h': arguments->help = true; return true;
	default:  return false;
	}
}

static bool
take(struct context *context, struct arguments *arguments, const struct option_spec *spec, const char *value)
{
	if (take_global(context, arguments, spec->letter, value))
		return true;
	if (!spec->repeat && arguments_has(arguments, spec->name)) {
		complain(context, "option --%s is given twice", spec->name);
		return false;
	}
	arguments->given[arguments->given_count++] = (struct given){spec, value};
	return true;
}

static bool
check_count(const struct context *context, const struct command *command, const struct arguments *arguments)
{
	if (arguments->positional_count < command->min) {
		complain(context, "%s missing; usage: %s %s %s",
		    arguments->positional_count == 0 ? "an argument is" : "another argument is",
		    program_invocation_short_name, command->name, command->usage);
		return false;
	}
	if (arguments->positional_count > command->max) {
		complain(context, "unexpected argument \"%s\"; usage: %s %s%s%s%s",
		    arguments->positional[command->max], program_invocation_short_name, command->name,
		    command->options != NULL ? " [OPTION]..." : "",
		    command->usage[0] != '\0' ? " " : "", command->usage);
		return false;
	}
	return true;
}

bool
arguments_parse(struct context *context, const struct command *command, int argc, char **argv,
    struct arguments *arguments, int *next)
{
	struct option_set set;
	int result;

	memset(arguments, 0, sizeof *arguments);
	arguments->given = calloc((size_t)argc + 1, sizeof *arguments->given);
	if (arguments->given == NULL) {
		complain(context, "out of memory");
		return false;
	}
	set_build(&set, command);
	opterr = 0;
	optind = 0; /* GNU: start anew */
	for (;;) {
		const char *word;
		optopt = 0;
		result = getopt_long(argc, argv, set.letters, set.longs, NULL);
		if (result == -1)
			break;
		word = optind > 0 && optind <= argc ? argv[optind - 1] : "";
		if (result == '?' || result == ':')
			return say_bad_option(context, &set, result, word);
		if (!take(context, arguments, set_find(&set, result), optarg))
			return false;
	}
	if (next != NULL)
		*next = optind;
	arguments->positional = argv + optind;
	arguments->positional_count = argc - optind;
	if (command == NULL || arguments->help || arguments->version || command->run == NULL)
		return true;
	return check_count(context, command, arguments);
}

void
arguments_free(struct arguments *arguments)
{
	free(arguments->given);
	arguments->given = NULL;
}

const char *
arguments_value(const struct arguments *arguments, const char *name)
{
	for (size_t i = 0; i < arguments->given_count; i++)
		if (strcmp(arguments->given[i].spec->name, name) == 0)
			return arguments->given[i].value;
	return NULL;
}

bool
arguments_has(const struct arguments *arguments, const char *name)
{
	for (size_t i = 0; i < arguments->given_count; i++)
		if (strcmp(arguments->given[i].spec->name, name) == 0)
			return true;
	return false;
}

const char *
arguments_positional(const struct arguments *arguments, int place)
{
	return place < arguments->positional_count ? arguments->positional[place] : NULL;
}

bool
arguments_number(const struct context *context, const struct arguments *arguments,
    const char *name, int64_t min, int64_t *number)
{
	const char *text = arguments_value(arguments, name);
	char *end;
	long long value;

	if (text == NULL)
		return true;
	errno = 0;
	value = strtoll(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || strchr(" \t+", text[0]) != NULL || value < min) {
		complain(context, "--%s \"%s\": not a whole number of at least %lld", name, text, (long long)min);
		return false;
	}
	*number = value;
	return true;
}

bool
arguments_uuid(const struct context *context, const char *what, const char *text, char out[37])
{
	if (uuid_normalise(text, out))
		return true;
	complain(context, "%s \"%s\": not a UUID, as 3f2a81c0-9d1e-4f57-a8c2-5b7d0f0f1a11", what, text);
	return false;
}
