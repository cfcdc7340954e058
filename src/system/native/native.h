/* What the files of the addon share: how they read their arguments. */
#ifndef CTSYNC_NATIVE_H
#define CTSYNC_NATIVE_H

#include <node_api.h>
#include <stdbool.h>
#include <stdint.h>

#define ARGS(n)                                                                                                        \
	napi_value argv[n];                                                                                            \
	size_t argc = n;                                                                                               \
	if (napi_get_cb_info(env, info, &argc, argv, NULL, NULL) != napi_ok || argc < n)                               \
		return bad_argument(env)

static inline napi_value bad_argument(napi_env env) {
	napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "ctsync native: wrong arguments");
	return NULL;
}

static inline bool get_int(napi_env env, napi_value value, int32_t *out) {
	return napi_get_value_int32(env, value, out) == napi_ok;
}

/* The memory behind a Uint8Array, Int32Array or Buffer; false for anything else. */
static inline bool get_bytes(napi_env env, napi_value value, void **data, size_t *length) {
	napi_typedarray_type type;
	size_t count;
	if (napi_get_typedarray_info(env, value, &type, &count, data, NULL, NULL) != napi_ok)
		return false;
	if (type != napi_uint8_array && type != napi_int32_array)
		return false;
	*length = count * (type == napi_int32_array ? 4 : 1);
	return true;
}

/* aead.c: adds its calls to the addon, where the program that loads it carries OpenSSL. */
void aead_exports(napi_env env, napi_value exports);

#endif
