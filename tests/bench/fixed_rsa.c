/*
 * Preloaded into a monero-wallet-rpc by the bench and by one test: takes
 * the chance out of create_wallet. wallet2 makes an RSA-4096 key at every create
 * and open, for a TLS context that is not used here, and the search for its
 * primes takes 0.4 to 5 s of CPU. Here every such key costs BENCH_RSA_MS of CPU,
 * and is the one in the file BENCH_RSA_KEY.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* libcrypto's; wallet-rpc brings it, so its headers need not be there */
typedef struct rsa_st RSA;
typedef struct bignum_st BIGNUM;
RSA *PEM_read_RSAPrivateKey(FILE *file, RSA **key, void *callback, void *arg);
BIGNUM *BN_dup(const BIGNUM *number);
void RSA_free(RSA *rsa);
void RSA_get0_key(const RSA *rsa, const BIGNUM **n, const BIGNUM **e, const BIGNUM **d);
int RSA_set0_key(RSA *rsa, BIGNUM *n, BIGNUM *e, BIGNUM *d);
void RSA_get0_factors(const RSA *rsa, const BIGNUM **p, const BIGNUM **q);
int RSA_set0_factors(RSA *rsa, BIGNUM *p, BIGNUM *q);
void RSA_get0_crt_params(const RSA *rsa, const BIGNUM **dp, const BIGNUM **dq, const BIGNUM **qi);
int RSA_set0_crt_params(RSA *rsa, BIGNUM *dp, BIGNUM *dq, BIGNUM *qi);
int RSA_generate_key_ex(RSA *rsa, int bits, BIGNUM *exponent, void *callback);

static long
thread_cpu_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * 1000000L + t.tv_nsec / 1000;
}

static void
work_for(long ms)
{
	long until = thread_cpu_us() + ms * 1000;

	while (thread_cpu_us() < until) {
		for (volatile int i = 0; i < 20000; i++)
			continue;
	}
}

static int
copy_key(RSA *to, const RSA *from)
{
	const BIGNUM *n, *e, *d, *p, *q, *dp, *dq, *qi;

	RSA_get0_key(from, &n, &e, &d);
	RSA_get0_factors(from, &p, &q);
	RSA_get0_crt_params(from, &dp, &dq, &qi);
	return RSA_set0_key(to, BN_dup(n), BN_dup(e), BN_dup(d)) && RSA_set0_factors(to, BN_dup(p), BN_dup(q)) &&
	    RSA_set0_crt_params(to, BN_dup(dp), BN_dup(dq), BN_dup(qi));
}

int
RSA_generate_key_ex(RSA *rsa, int bits, BIGNUM *exponent, void *callback)
{
	const char *ms = getenv("BENCH_RSA_MS"), *path = getenv("BENCH_RSA_KEY");
	FILE *file = path != NULL ? fopen(path, "r") : NULL;
	RSA *key = file != NULL ? PEM_read_RSAPrivateKey(file, NULL, NULL, NULL) : NULL;
	int ok = key != NULL && copy_key(rsa, key);

	(void)bits;
	(void)exponent;
	(void)callback;
	if (file != NULL)
		fclose(file);
	RSA_free(key);
	work_for(ms != NULL ? atol(ms) : 0);
	return ok;
}
