#include "common/role.h"

#include <string.h>

static const char *const role_names[] = {"buyer", "vendor", "arbiter", "any"};
static const char *const network_names[] = {"mainnet", "stagenet", "testnet"};

const char *
role_name(enum role role)
{
	return role_names[role];
}

bool
role_parse(const char *name, bool allow_any, enum role *role)
{
	int n = allow_any ? ROLE_COUNT + 1 : ROLE_COUNT;

	for (int i = 0; i < n; i++) {
		if (strcmp(name, role_names[i]) == 0) {
			*role = (enum role)i;
			return true;
		}
	}
	return false;
}

const char *
network_name(enum network network)
{
	return network_names[network];
}

bool
network_parse(const char *name, enum network *network)
{
	for (int i = 0; i < NETWORK_COUNT; i++) {
		if (strcmp(name, network_names[i]) == 0) {
			*network = (enum network)i;
			return true;
		}
	}
	return false;
}
