/*
 * AEAD ciphers whose state is kept from one datagram to the next.
 *
 * node:crypto makes a cipher anew for each: eight microseconds of objects, streams and key schedules for half a microsecond
 * of encryption. This calls the OpenSSL that Node itself is linked with and exports (EVP_EncryptInit(3)), so there is nothing
 * to link here: the symbols are weak, and where they are missing the calls are, too.
 */
#include <stdlib.h>

#include "native.h"

typedef struct evp_cipher_st EVP_CIPHER;
typedef struct evp_cipher_ctx_st EVP_CIPHER_CTX;
typedef struct engine_st ENGINE;

#define WEAK __attribute__((weak))
WEAK extern const EVP_CIPHER *EVP_aes_256_gcm(void);
WEAK extern const EVP_CIPHER *EVP_chacha20_poly1305(void);
WEAK extern EVP_CIPHER_CTX *EVP_CIPHER_CTX_new(void);
WEAK extern void EVP_CIPHER_CTX_free(EVP_CIPHER_CTX *);
WEAK extern int EVP_CIPHER_CTX_ctrl(EVP_CIPHER_CTX *, int type, int arg, void *ptr);
WEAK extern int EVP_CipherInit_ex(EVP_CIPHER_CTX *, const EVP_CIPHER *, ENGINE *, const unsigned char *key,
				  const unsigned char *iv, int encrypt);
WEAK extern int EVP_CipherUpdate(EVP_CIPHER_CTX *, unsigned char *out, int *length, const unsigned char *in, int size);
WEAK extern int EVP_CipherFinal_ex(EVP_CIPHER_CTX *, unsigned char *out, int *length);
WEAK extern void ERR_clear_error(void);

/* EVP_CTRL_AEAD_GET_TAG and EVP_CTRL_AEAD_SET_TAG (openssl/evp.h) */
enum { GET_TAG = 0x10, SET_TAG = 0x11 };
enum { KEY_SIZE = 32, NONCE_SIZE = 12, TAG_SIZE = 16 };

/* Tells a cipher's handle from a poller's. */
static const uint64_t MAGIC = 0x8b1d6c3f52e94a07;

typedef struct {
	uint64_t magic;
	/* by direction: 0 opens, 1 seals */
	EVP_CIPHER_CTX *contexts[2];
} aead;

static void aead_free(aead *a) {
	for (int i = 0; i < 2; i++)
		EVP_CIPHER_CTX_free(a->contexts[i]);
	free(a);
}

static void aead_finalize(napi_env env, void *data, void *hint) {
	(void)env;
	(void)hint;
	aead_free(data);
}

/* aeadCipher(suite, key): 1 AES-256-GCM, 2 ChaCha20-Poly1305; a key of 32 bytes -> handle */
static napi_value aead_cipher(napi_env env, napi_callback_info info) {
	int32_t suite;
	void *key;
	size_t length;
	ARGS(2);
	if (!get_int(env, argv[0], &suite) || (suite != 1 && suite != 2) || !get_bytes(env, argv[1], &key, &length) ||
	    length != KEY_SIZE)
		return bad_argument(env);
	const EVP_CIPHER *cipher = suite == 1 ? EVP_aes_256_gcm() : EVP_chacha20_poly1305();
	aead *a = calloc(1, sizeof *a);
	bool is_good = a != NULL;
	if (a)
		a->magic = MAGIC;
	for (int i = 0; is_good && i < 2; i++) {
		a->contexts[i] = EVP_CIPHER_CTX_new();
		is_good = a->contexts[i] && EVP_CipherInit_ex(a->contexts[i], cipher, NULL, key, NULL, i);
	}
	napi_value result;
	if (!is_good || napi_create_external(env, a, aead_finalize, NULL, &result) != napi_ok) {
		if (a)
			aead_free(a);
		napi_throw_error(env, NULL, "ctsync native: the cipher cannot be made");
		return NULL;
	}
	return result;
}

/*
 * aeadRun(handle, isSeal, nonce, bytes, start, body, end) -> whether it worked
 *
 * In place: bytes [start, body) are authenticated, [body, end) as well and encrypted, and the tag stands in the 16 bytes
 * behind `end`. False: what should be opened is not what was sealed; what stands in [body, end) then means nothing.
 */
static napi_value aead_run(napi_env env, napi_callback_info info) {
	bool is_seal;
	aead *a;
	uint8_t *nonce, *bytes;
	size_t nonce_size, size;
	int32_t start, body, end;
	int n;
	napi_value result;
	ARGS(7);
	if (napi_get_value_external(env, argv[0], (void **)&a) != napi_ok || a->magic != MAGIC ||
	    napi_get_value_bool(env, argv[1], &is_seal) != napi_ok ||
	    !get_bytes(env, argv[2], (void **)&nonce, &nonce_size) || nonce_size != NONCE_SIZE ||
	    !get_bytes(env, argv[3], (void **)&bytes, &size) || !get_int(env, argv[4], &start) ||
	    !get_int(env, argv[5], &body) || !get_int(env, argv[6], &end) || start < 0 || body < start || end < body ||
	    (size_t)end + TAG_SIZE > size)
		return bad_argument(env);
	EVP_CIPHER_CTX *context = a->contexts[is_seal];
	/* cipher and key stay: NULL leaves them as they are */
	bool works = EVP_CipherInit_ex(context, NULL, NULL, NULL, nonce, is_seal) &&
		     (is_seal || EVP_CIPHER_CTX_ctrl(context, SET_TAG, TAG_SIZE, bytes + end)) &&
		     EVP_CipherUpdate(context, NULL, &n, bytes + start, body - start) &&
		     EVP_CipherUpdate(context, bytes + body, &n, bytes + body, end - body) &&
		     EVP_CipherFinal_ex(context, bytes + end, &n) > 0 &&
		     (!is_seal || EVP_CIPHER_CTX_ctrl(context, GET_TAG, TAG_SIZE, bytes + end));
	/* else the next call of node:crypto would find it */
	if (!works)
		ERR_clear_error();
	napi_get_boolean(env, works, &result);
	return result;
}

void aead_exports(napi_env env, napi_value exports) {
	if (!EVP_aes_256_gcm || !EVP_chacha20_poly1305 || !EVP_CIPHER_CTX_new || !EVP_CIPHER_CTX_free ||
	    !EVP_CIPHER_CTX_ctrl || !EVP_CipherInit_ex || !EVP_CipherUpdate || !EVP_CipherFinal_ex || !ERR_clear_error)
		return;
	napi_value call;
	napi_create_function(env, "aeadCipher", NAPI_AUTO_LENGTH, aead_cipher, NULL, &call);
	napi_set_named_property(env, exports, "aeadCipher", call);
	napi_create_function(env, "aeadRun", NAPI_AUTO_LENGTH, aead_run, NULL, &call);
	napi_set_named_property(env, exports, "aeadRun", call);
}
