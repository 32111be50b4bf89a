/* The methods of monero-wallet-rpc, as far as msigd and its tests need them: what
 * each does to the wallet that is open, and in which words it fails. */
#ifndef STAND_IN_METHODS_H
#define STAND_IN_METHODS_H

#include <jansson.h>
#include <stdbool.h>

#include "tests/stand_in/wallet.h"

enum method {
	METHOD_GET_VERSION, METHOD_CREATE_WALLET, METHOD_OPEN_WALLET, METHOD_CLOSE_WALLET, METHOD_STORE, METHOD_IS_MULTISIG,
	METHOD_GET_ADDRESS, METHOD_VALIDATE_ADDRESS, METHOD_GET_ATTRIBUTE, METHOD_SET_ATTRIBUTE, METHOD_CHANGE_WALLET_PASSWORD,
	METHOD_PREPARE_MULTISIG, METHOD_MAKE_MULTISIG, METHOD_EXCHANGE_MULTISIG_KEYS, METHOD_QUERY_KEY, METHOD_GET_BALANCE,
	METHOD_GET_HEIGHT, METHOD_REFRESH, METHOD_STOP_WALLET, METHOD_COUNT
};

/* wallet_rpc_server_error_codes.h, and JSON-RPC's own */
enum method_error_code {
	ERROR_UNKNOWN = -1, ERROR_NO_WALLET = -13, ERROR_ACCOUNT_INDEX = -14, ERROR_ADDRESS_INDEX = -15, ERROR_FILE_EXISTS = -21,
	ERROR_PASSWORD = -22, ERROR_ALREADY_MULTISIG = -28, ERROR_NOT_MULTISIG = -31, ERROR_MORE_INFOS = -33,
	ERROR_NO_ATTRIBUTE = -45, ERROR_MULTISIG_DISABLED = -48, ERROR_INVALID_REQUEST = -32600, ERROR_NO_METHOD = -32601,
	ERROR_INVALID_PARAMS = -32602, ERROR_PARSE = -32700
};

struct method_error {
	int code;
	char message[512];
};

/* What a call acts on. */
struct method_call {
	struct wallet **wallet; /* that is open, or NULL; the call may change it */
	enum network network;
	json_t *params;         /* an object */
	bool torn;              /* of what it writes only .keys gets to the disk */
	struct method_error error;
};

/* METHOD_COUNT: there is none of this name. */
enum method method_find(const char *name);
const char *method_name(enum method method);

/* Calls that take a real wallet-rpc long, for they change a wallet or its files. */
bool method_is_changing(enum method method);

/* The result, or NULL and call->error says why not. */
json_t *method_run(enum method method, struct method_call *call);

json_t *method_fail(struct method_call *call, int code, const char *text);

#endif
