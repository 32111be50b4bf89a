/*
 * The numbers that errors of the API have: JSON-RPC 2.0's own, and ours from
 * 1 up. msigd-api(7) lists them for the people who meet them.
 */
#ifndef SUPERVISOR_API_ERROR_H
#define SUPERVISOR_API_ERROR_H

enum api_error {
	API_PARSE_ERROR = -32700,
	API_INVALID_REQUEST = -32600,
	API_METHOD_NOT_FOUND = -32601,
	API_INVALID_PARAMS = -32602,
	API_INTERNAL_ERROR = -32603,

	API_NO_SUCH_ESCROW = 1,
	API_NO_SUCH_ENDPOINT = 2,
	API_CONFLICT = 3,       /* the id again with other options */
	API_WRONG_PHASE = 4,    /* retry of one that has not Failed, cancel of one that ended */
	API_QUEUE_FULL = 5,     /* queue-max escrows wait */
	API_NOT_AVAILABLE = 6,  /* part of the interface, not of this version */
	API_STORE_FAILED = 7,   /* the store could not be written; nothing was changed */
	API_STOPPING = 8,       /* msigd is about to end */
	API_CONFIG_REFUSED = 9, /* reload: the file has a mistake; the old one stays */
	API_BACKUP_GONE = 10,   /* no such backup under way */
	API_BUSY = 11,          /* a check or calibration is under way, or too many backups */
	API_NO_SESSION = 12,    /* close_session: the escrow has none */
	API_WALLETS_FAILED = 13,/* the wallets could not be asked */
	API_NOT_CALIBRATED = 14,/* calibrate: an endpoint or a lock was in the way */
	API_NO_TRACE = 15       /* get_trace: it has no trace file */
};

#endif
