#include "tests/stand_in/login.h"

#include <md5.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { FIELD_MAX = 160, HASH_MAX = MD5_DIGEST_STRING_LENGTH, RANDOM_SIZE = 16 };

struct fields {
	char username[FIELD_MAX], realm[FIELD_MAX], nonce[FIELD_MAX], uri[FIELD_MAX], response[FIELD_MAX], algorithm[FIELD_MAX],
	    cnonce[FIELD_MAX], nc[FIELD_MAX], qop[FIELD_MAX];
};

static const char realm[] = "monero-rpc";

static const struct {
	const char *name;
	size_t offset;
} field_places[] = {
	{"username", offsetof(struct fields, username)}, {"realm", offsetof(struct fields, realm)},
	{"nonce", offsetof(struct fields, nonce)}, {"uri", offsetof(struct fields, uri)},
	{"response", offsetof(struct fields, response)}, {"algorithm", offsetof(struct fields, algorithm)},
	{"cnonce", offsetof(struct fields, cnonce)}, {"nc", offsetof(struct fields, nc)}, {"qop", offsetof(struct fields, qop)},
};

/* --- the header ----------------------------------------------------------- */

static void
keep_field(struct fields *fields, const char *name, size_t name_length, const char *value, size_t length)
{
	for (size_t i = 0; i < sizeof field_places / sizeof field_places[0]; i++) {
		if (strlen(field_places[i].name) == name_length && strncasecmp(field_places[i].name, name, name_length) == 0)
			snprintf((char *)fields + field_places[i].offset, FIELD_MAX, "%.*s", (int)length, value);
	}
}

/* name="value", name=value, … */
static bool
read_fields(const char *header, struct fields *fields)
{
	*fields = (struct fields){0};
	if (strncasecmp(header, "Digest ", 7) != 0)
		return false;
	header += 7;
	while (*header != '\0') {
		size_t name_length, length;
		const char *name = header += strspn(header, " \t,");
		name_length = strcspn(header, "=");
		header += name_length;
		if (*header == '=')
			header++;
		if (*header == '"') {
			length = strcspn(++header, "\"");
			keep_field(fields, name, name_length, header, length);
			header += length + (header[length] == '"');
			continue;
		}
		length = strcspn(header, ", \t");
		keep_field(fields, name, name_length, header, length);
		header += length;
	}
	return true;
}

/* --- the response --------------------------------------------------------- */

static void
md5_text(char out[HASH_MAX], const char *format, ...)
{
	char text[8 * FIELD_MAX];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	MD5Data((const uint8_t *)text, strlen(text), out);
}

static bool
response_is_right(const struct fields *f, const char *login, const char *verb)
{
	const char *colon = strchr(login, ':');
	char a1[HASH_MAX], a2[HASH_MAX], response[HASH_MAX];

	if (colon == NULL || strlen(f->username) != (size_t)(colon - login) ||
	    strncmp(f->username, login, strlen(f->username)) != 0 || strcmp(f->realm, realm) != 0)
		return false;
	md5_text(a1, "%s:%s:%s", f->username, realm, colon + 1);
	if (strcasecmp(f->algorithm, "MD5-sess") == 0)
		md5_text(a1, "%s:%s:%s", a1, f->nonce, f->cnonce);
	md5_text(a2, "%s:%s", verb, f->uri);
	if (f->qop[0] != '\0')
		md5_text(response, "%s:%s:%s:%s:%s:%s", a1, f->nonce, f->nc, f->cnonce, f->qop, a2);
	else
		md5_text(response, "%s:%s:%s", a1, f->nonce, a2);
	return strcasecmp(response, f->response) == 0;
}

static void
write_challenge(struct login_state *state, bool stale, char out[CHALLENGE_MAX])
{
	static const char line[] = "WWW-authenticate: Digest qop=\"auth\",algorithm=%s,realm=\"%s\",nonce=\"%s\",stale=%s\r\n";
	const char *word = stale ? "true" : "false";
	unsigned char bytes[RANDOM_SIZE];
	int n;

	randombytes_buf(bytes, sizeof bytes);
	sodium_bin2base64(state->nonce, sizeof state->nonce, bytes, sizeof bytes, sodium_base64_VARIANT_ORIGINAL);
	state->count = 0;
	n = snprintf(out, CHALLENGE_MAX, line, "MD5", realm, state->nonce, word);
	snprintf(out + n, CHALLENGE_MAX - (size_t)n, line, "MD5-sess", realm, state->nonce, word);
}

bool
login_check(struct login_state *state, const char *login, const char *verb, const char *header, char challenge[CHALLENGE_MAX])
{
	struct fields fields;
	bool stale = false;

	if (header != NULL) {
		state->count++;
		stale = read_fields(header, &fields) && response_is_right(&fields, login, verb);
		if (stale && strcmp(fields.nonce, state->nonce) == 0 &&
		    (state->count == 1 || (fields.qop[0] != '\0' && strtoul(fields.nc, NULL, 16) == state->count)))
			return true;
	}
	write_challenge(state, stale, challenge);
	return false;
}
