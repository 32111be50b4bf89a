#include "common/config_lint.h"

#include <ctype.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UTF8_MARK "\xEF\xBB\xBF" /* some editors begin a file with it */

enum token { TOKEN_WORD, TOKEN_EQUALS, TOKEN_OPEN, TOKEN_CLOSE, TOKEN_END, TOKEN_BROKEN };

/* What may come next, for a walk that stands inside a section or the file. */
enum expect { EXPECT_KEY, EXPECT_EQUALS, EXPECT_VALUE, EXPECT_OPEN };

struct walk {
	char *at;
	int line;
	char *word;       /* of the last TOKEN_WORD; as long as the text at most */
	char *name;       /* the key or section that is being read, from malloc */
	int name_line;
	bool in_value;    /* behind an '=' */
	size_t section;   /* where the walk is */
	bool complete;    /* it came to the end of the file, outside of sections */
	struct lint *lint;
	struct config_errors *errors;
};

void
config_errors_add(struct config_errors *errors, int line, const char *format, ...)
{
	struct config_mistake *list, *mistake;
	va_list ap;
	int n;

	list = realloc(errors->list, (errors->count + 1) * sizeof *list);
	if (list == NULL) {
		errors->out_of_memory = true;
		return;
	}
	errors->list = list;
	mistake = &list[errors->count];
	va_start(ap, format);
	n = vasprintf(&mistake->text, format, ap);
	va_end(ap);
	if (n == -1) {
		errors->out_of_memory = true;
		return;
	}
	mistake->line = line;
	mistake->number = errors->count++;
}

static int
by_line(const void *left, const void *right)
{
	const struct config_mistake *a = left, *b = right;

	if (a->line != b->line)
		return a->line < b->line ? -1 : 1;
	return a->number < b->number ? -1 : 1;
}

char *
config_errors_text(struct config_errors *errors, const char *file)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (out == NULL)
		return strdup("out of memory\n");
	if (errors->count > 0)
		qsort(errors->list, errors->count, sizeof errors->list[0], by_line);
	for (size_t i = 0; i < errors->count; i++) {
		const struct config_mistake *mistake = &errors->list[i];
		if (mistake->line > 0)
			fprintf(out, "%s:%d: %s\n", file, mistake->line, mistake->text);
		else
			fprintf(out, "%s: %s\n", file, mistake->text);
	}
	if (errors->out_of_memory)
		fprintf(out, "%s: out of memory\n", file);
	fclose(out);
	return text;
}

void
config_errors_free(struct config_errors *errors)
{
	for (size_t i = 0; i < errors->count; i++)
		free(errors->list[i].text);
	free(errors->list);
	memset(errors, 0, sizeof *errors);
}

void
lint_free(struct lint *lint)
{
	for (size_t i = 0; i < lint->key_count; i++)
		free(lint->keys[i].name);
	for (size_t i = 0; i < lint->section_count; i++) {
		free(lint->sections[i].name);
		free(lint->sections[i].title);
	}
	free(lint->keys);
	free(lint->sections);
	memset(lint, 0, sizeof *lint);
}

static const struct lint_key *
find_key(const struct lint *lint, size_t section, const char *name)
{
	for (size_t i = 0; i < lint->key_count; i++) {
		if (lint->keys[i].section == section && strcmp(lint->keys[i].name, name) == 0)
			return &lint->keys[i];
	}
	return NULL;
}

int
lint_line(const struct lint *lint, size_t section, const char *key)
{
	const struct lint_key *found = find_key(lint, section, key);

	return found != NULL ? found->line : lint->sections[section].line;
}

size_t
lint_find(const struct lint *lint, const char *name, const char *title)
{
	for (size_t i = LINT_TOP + 1; i < lint->section_count; i++) {
		const struct lint_section *section = &lint->sections[i];
		if (strcmp(section->name, name) != 0 || (section->title == NULL) != (title == NULL))
			continue;
		if (title == NULL || strcmp(section->title, title) == 0)
			return i;
	}
	return LINT_TOP;
}

static bool
out_of_memory(struct walk *walk)
{
	walk->errors->out_of_memory = true;
	return false;
}

/* Takes name and title over. */
static bool
add_section(struct walk *walk, char *name, char *title, int line)
{
	struct lint *lint = walk->lint;
	struct lint_section *sections = realloc(lint->sections, (lint->section_count + 1) * sizeof *sections);

	if (sections == NULL || name == NULL) {
		if (sections != NULL)
			lint->sections = sections;
		free(name);
		free(title);
		return out_of_memory(walk);
	}
	lint->sections = sections;
	sections[lint->section_count] = (struct lint_section){name, title, line};
	walk->section = lint->section_count++;
	return true;
}

/* Takes walk->name over. */
static bool
add_key(struct walk *walk)
{
	struct lint *lint = walk->lint;
	const struct lint_key *first = find_key(lint, walk->section, walk->name);
	struct lint_key *keys;

	if (first != NULL) {
		config_errors_add(walk->errors, walk->name_line, "%s: given twice, first on line %d; remove one of them",
		    walk->name, first->line);
	}
	keys = realloc(lint->keys, (lint->key_count + 1) * sizeof *keys);
	if (keys == NULL)
		return out_of_memory(walk);
	lint->keys = keys;
	keys[lint->key_count++] = (struct lint_key){walk->name, walk->section, walk->name_line};
	walk->name = NULL;
	return true;
}

/* Comments: "#" and "//" to the end of the line, and C's. */
static bool
skip_comment(struct walk *walk)
{
	bool block = walk->at[0] == '/' && walk->at[1] == '*';
	char *end = block ? strstr(walk->at + 2, "*/") : strchrnul(walk->at, '\n');

	if (end == NULL) {
		config_errors_add(walk->errors, walk->line, "syntax: the comment that begins here is not closed: \"*/\" is missing");
		return false;
	}
	if (block)
		end += 2;
	for (; walk->at < end; walk->at++) {
		if (*walk->at == '\n')
			walk->line++;
		else
			*walk->at = ' ';
	}
	return true;
}

static bool
at_comment(const char *at)
{
	return at[0] == '#' || (at[0] == '/' && (at[1] == '/' || at[1] == '*'));
}

static bool
skip_space(struct walk *walk)
{
	for (;;) {
		if (at_comment(walk->at)) {
			if (!skip_comment(walk))
				return false;
		} else if (isspace((unsigned char)*walk->at)) {
			if (*walk->at == '\n')
				walk->line++;
			walk->at++;
		} else {
			return true;
		}
	}
}

/* What may stand in a word without quotes. libconfuse allows more, and drops
 * some of it without a word ("+", "*"). */
static bool
is_plain(char c)
{
	return isalnum((unsigned char)c) || (unsigned char)c >= 0x80 || (c != '\0' && strchr("._-/:@%[]~", c) != NULL);
}

static const char *
advice(const struct walk *walk)
{
	if (walk->at[0] == '$' && walk->at[1] == '{')
		return "\"${\" is not replaced from the environment: write the value itself";
	if (walk->at[0] == ';')
		return "a value ends with its line, not with \";\"";
	if (walk->at[0] == '#')
		return "a comment needs a space before it";
	if (!walk->in_value)
		return "a key is followed by \"=\" and its value, a section by \"{\"";
	return "a value with such a character is put in double quotes";
}

/* After a word: nothing that libconfuse would take for another one. */
static enum token
end_word(struct walk *walk)
{
	char c = *walk->at;

	if (c == '\0' || isspace((unsigned char)c) || strchr("={}", c) != NULL)
		return TOKEN_WORD;
	/* not the word itself: it could be a url with a password */
	config_errors_add(walk->errors, walk->line, "%s: \"%c\" cannot stand right behind a word; %s",
	    walk->name != NULL ? walk->name : walk->word, c, advice(walk));
	return TOKEN_BROKEN;
}

static enum token
read_quoted(struct walk *walk)
{
	char quote = *walk->at++, *out = walk->word;
	const char *name = walk->name != NULL ? walk->name : "text in quotes";

	for (; *walk->at != quote; walk->at++) {
		if (*walk->at == '\0' || *walk->at == '\n') {
			config_errors_add(walk->errors, walk->line, "%s: the closing %c is missing on this line", name, quote);
			return TOKEN_BROKEN;
		}
		if (quote == '"' && walk->at[0] == '$' && walk->at[1] == '{') {
			config_errors_add(walk->errors, walk->line,
			    "%s: \"${\" is not replaced from the environment here; write the value itself (or \\${ for these characters)", name);
			return TOKEN_BROKEN;
		}
		if (*walk->at == '\\') {
			walk->at++;
			if (*walk->at == '\0' || strchr(quote == '"' ? "\"'\\$" : "'\\", *walk->at) == NULL) {
				config_errors_add(walk->errors, walk->line,
				    "%s: in quotes, \"\\\" may only stand before a quotation mark or another \"\\\"", name);
				return TOKEN_BROKEN;
			}
		}
		*out++ = *walk->at;
	}
	*out = '\0';
	walk->at++;
	return end_word(walk);
}

static enum token
read_plain(struct walk *walk)
{
	char *out = walk->word;

	while (is_plain(*walk->at))
		*out++ = *walk->at++;
	*out = '\0';
	return end_word(walk);
}

static enum token
next_token(struct walk *walk)
{
	static const char marks[] = "={}";
	const char *mark;

	if (!skip_space(walk))
		return TOKEN_BROKEN;
	if (*walk->at == '\0')
		return TOKEN_END;
	mark = strchr(marks, *walk->at);
	if (mark != NULL) {
		walk->at++;
		return (enum token)(TOKEN_EQUALS + (mark - marks));
	}
	if (*walk->at == '"' || *walk->at == '\'')
		return read_quoted(walk);
	if (is_plain(*walk->at))
		return read_plain(walk);
	config_errors_add(walk->errors, walk->line, "%s: \"%c\" cannot stand here; %s",
	    walk->name != NULL ? walk->name : "syntax", *walk->at, advice(walk));
	return TOKEN_BROKEN;
}

static bool
begin_section(struct walk *walk, char *title)
{
	struct lint *lint = walk->lint;
	const struct lint_section *outer = &lint->sections[walk->section];
	char *name = walk->name;
	size_t first = lint_find(lint, name, title);

	walk->name = NULL;
	if (walk->section != LINT_TOP) {
		config_errors_add(walk->errors, walk->name_line,
		    "%s: a section cannot stand inside another; is the \"}\" of %s, which begins on line %d, missing?",
		    name, outer->name, outer->line);
		free(name);
		free(title);
		return false;
	}
	if (first != LINT_TOP && title != NULL) {
		config_errors_add(walk->errors, walk->name_line, "%s: the name \"%s\" is given twice, first on line %d",
		    name, title, lint->sections[first].line);
	} else if (first != LINT_TOP) {
		config_errors_add(walk->errors, walk->name_line,
		    "%s: this section is given twice, first on line %d; make one of them", name, lint->sections[first].line);
	}
	return add_section(walk, name, title, walk->name_line);
}

/* "}" or the end, where a key could have been. False: the walk is over. */
static bool
end_section(struct walk *walk, enum token token)
{
	const struct lint_section *section = &walk->lint->sections[walk->section];
	bool inside = walk->section != LINT_TOP;

	if (token == TOKEN_CLOSE && inside) {
		walk->section = LINT_TOP;
		return true;
	}
	if (token == TOKEN_CLOSE)
		config_errors_add(walk->errors, walk->line, "syntax: \"}\" without a section that it could close");
	else if (inside)
		config_errors_add(walk->errors, section->line,
		    "%s: the section that begins here is not closed: its \"}\" is missing", section->name);
	else
		walk->complete = true;
	return false;
}

static bool
unexpected(struct walk *walk, enum expect expect)
{
	const struct lint *lint = walk->lint;
	const struct lint_key *last = lint->key_count > 0 ? &lint->keys[lint->key_count - 1] : NULL;
	static const char *const wanted[] = {
		[EXPECT_KEY] = "a key or a section comes next",
		[EXPECT_EQUALS] = "\"=\" and a value are missing behind it (or, for a section, \"{\")",
		[EXPECT_VALUE] = "after \"=\" there is no value (an empty one is written \"\")",
		[EXPECT_OPEN] = "\"=\" is missing behind it (or, for a section, \"{\")",
	};

	if (walk->name != NULL && expect != EXPECT_VALUE && last != NULL && last->section == walk->section &&
	    last->line == walk->name_line)
		config_errors_add(walk->errors, last->line,
		    "%s: \"%s\" stands behind its value; a value with spaces is put in double quotes, a duration has none",
		    last->name, walk->name);
	else if (walk->name != NULL)
		config_errors_add(walk->errors, walk->name_line, "%s: %s", walk->name, wanted[expect]);
	else
		config_errors_add(walk->errors, walk->line, "syntax: %s", wanted[expect]);
	return false;
}

/* What stands behind '='. libconfuse would take it from the next line too,
 * and so the next key for the value of one that has none. */
static bool
walk_value(struct walk *walk)
{
	enum token token;
	int line = walk->line;

	walk->in_value = true;
	token = next_token(walk);
	walk->in_value = false;
	if (token == TOKEN_BROKEN)
		return false;
	if (token != TOKEN_WORD || walk->line != line)
		return unexpected(walk, EXPECT_VALUE);
	return add_key(walk);
}

static bool
walk_title(struct walk *walk)
{
	char *title = strdup(walk->word);
	enum token token;

	if (title == NULL)
		return out_of_memory(walk);
	token = next_token(walk);
	if (token == TOKEN_OPEN)
		return begin_section(walk, title);
	free(title);
	return token != TOKEN_BROKEN && unexpected(walk, EXPECT_OPEN);
}

/* One "key = value", "name {", "name title {" or "}". False: the walk is over. */
static bool
walk_statement(struct walk *walk)
{
	enum token token = next_token(walk);

	if (token == TOKEN_BROKEN)
		return false;
	if (token == TOKEN_CLOSE || token == TOKEN_END)
		return end_section(walk, token);
	if (token != TOKEN_WORD || *walk->word == '\0')
		return unexpected(walk, EXPECT_KEY);
	walk->name_line = walk->line;
	walk->name = strdup(walk->word);
	if (walk->name == NULL)
		return out_of_memory(walk);
	switch (next_token(walk)) {
	case TOKEN_EQUALS:
		return walk_value(walk);
	case TOKEN_OPEN:
		return begin_section(walk, NULL);
	case TOKEN_WORD:
		return walk_title(walk);
	case TOKEN_CLOSE:
	case TOKEN_END:
		return unexpected(walk, EXPECT_EQUALS);
	case TOKEN_BROKEN:
		return false;
	}
	return false;
}

/* By jansson's own measure: what it does not take, no frame, answer or log line
 * could hold later. */
static bool
is_utf8(const char *line, size_t size)
{
	json_t *text = json_stringn(line, size);

	json_decref(text);
	return text != NULL;
}

static bool
check_bytes(const char *text, size_t size, struct config_errors *errors)
{
	size_t begin = 0;
	int line = 1;

	for (size_t i = 0; i <= size; i++) {
		unsigned char c = i < size ? (unsigned char)text[i] : '\n';
		if (c == '\n' && !is_utf8(text + begin, i - begin)) {
			config_errors_add(errors, line, "syntax: bytes that are no UTF-8: save the file in that encoding");
			return false;
		}
		if (c == '\n') {
			begin = i + 1;
			line++;
		}
		if ((c < ' ' && c != '\n' && c != '\t' && c != '\r') || c == 0x7f) {
			config_errors_add(errors, line, "syntax: a control character (0x%02x): this is not a text file", c);
			return false;
		}
	}
	return true;
}

bool
lint_walk(char *text, size_t size, struct lint *lint, struct config_errors *errors)
{
	struct walk walk = {.at = text, .line = 1, .lint = lint, .errors = errors};

	memset(lint, 0, sizeof *lint);
	if (!check_bytes(text, size, errors))
		return false;
	if (strncmp(text, UTF8_MARK, strlen(UTF8_MARK)) == 0)
		memset(text, ' ', strlen(UTF8_MARK));
	walk.word = malloc(size + 1);
	if (walk.word == NULL)
		return out_of_memory(&walk);
	if (add_section(&walk, strdup(""), NULL, 0)) {
		while (walk_statement(&walk))
			;
	}
	free(walk.name);
	free(walk.word);
	return walk.complete;
}
