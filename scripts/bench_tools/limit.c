/*
 * The limit: what plain C over libsodium does on this machine, in the same run as ours.
 *
 *     cc -O2 -pthread limit.c -lsodium -ldl -o limit
 *     limit [--threads N] [--page BYTES] [--only NAME] SECONDS
 *
 * Runs each measure in a tight loop for SECONDS on N threads, and prints one JSON object on standard output:
 * calls a second of processor time, all threads together: what other processes take of a core is not counted against
 * it. A batch of 8 is one call; `page` reads a page of BYTES and hashes it.
 *
 * The vectors of RFC 9497 Appendix A.1.2 are computed first. Exit 1 if any differs: a limit that computes something
 * else is no limit. Exit 2: usage.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sodium.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CONTEXT "OPRFV1-\x01-ristretto255-SHA512"
#define ELEMENT crypto_core_ristretto255_BYTES
#define SCALAR crypto_core_ristretto255_SCALARBYTES
#define PROOF (2 * SCALAR)
#define HASH crypto_hash_sha512_BYTES
#define MAX_BATCH 8
#define MAX_THREADS 64
#define MAX_PAGE (1 << 20)
#define PAGES_BYTES (6 << 20) /* more than a core's own caches hold: pread pays for the copy, as a service does */

typedef struct {
    const char *text;
    size_t length;
} tag;

#define TAG(text) ((tag){(text), sizeof(text) - 1})

/* ---- RFC 9497 over libsodium --------------------------------------------------------------------------------- */

/* SHA-512 after Z_pad, the 128 zero bytes with which every expand_message_xmd starts: hashed once for all calls. */
static crypto_hash_sha512_state after_z_pad;

static void update(crypto_hash_sha512_state *state, const void *bytes, size_t length) {
    crypto_hash_sha512_update(state, bytes, length);
}

/* RFC 9380 section 5.3.1, SHA-512, 64 bytes out. `dst` is at most 255 bytes. */
static void expand_message_xmd(uint8_t out[HASH], const uint8_t *message, size_t length, tag dst) {
    const uint8_t length_and_zero[3] = {0, HASH, 0}, one = 1, dst_length = (uint8_t)dst.length;
    uint8_t b_0[HASH];
    crypto_hash_sha512_state state = after_z_pad;
    update(&state, message, length);
    update(&state, length_and_zero, sizeof length_and_zero);
    update(&state, dst.text, dst.length);
    update(&state, &dst_length, 1);
    crypto_hash_sha512_final(&state, b_0);
    crypto_hash_sha512_init(&state);
    update(&state, b_0, sizeof b_0);
    update(&state, &one, 1);
    update(&state, dst.text, dst.length);
    update(&state, &dst_length, 1);
    crypto_hash_sha512_final(&state, out);
}

/* RFC 9497 section 4.1, HashToGroup. */
static void hash_to_group(uint8_t element[ELEMENT], const uint8_t *input, size_t length) {
    uint8_t uniform[HASH];
    expand_message_xmd(uniform, input, length, TAG("HashToGroup-" CONTEXT));
    crypto_core_ristretto255_from_hash(element, uniform);
}

/* RFC 9497 section 4.1, HashToScalar. */
static void hash_to_scalar(uint8_t scalar[SCALAR], const uint8_t *input, size_t length) {
    uint8_t uniform[HASH];
    expand_message_xmd(uniform, input, length, TAG("HashToScalar-" CONTEXT));
    crypto_core_ristretto255_scalar_reduce(scalar, uniform);
}

/* Append a two-byte big-endian length and the bytes: I2OSP(len(x), 2) || x. */
static uint8_t *put(uint8_t *at, const void *bytes, size_t length) {
    *at++ = (uint8_t)(length >> 8);
    *at++ = (uint8_t)length;
    memcpy(at, bytes, length);
    return at + length;
}

static uint8_t *put_tag(uint8_t *at, tag t) {
    memcpy(at, t.text, t.length);
    return at + t.length;
}

/* RFC 9497 section 3.3.1, Evaluate: 64 bytes out, -1 if the input hashes to the identity element. */
static int evaluate(uint8_t output[HASH], const uint8_t sk[SCALAR], const uint8_t *input, uint16_t length) {
    uint8_t element[ELEMENT], lengths[2] = {(uint8_t)(length >> 8), (uint8_t)length}, element_length[2] = {0, ELEMENT};
    tag finalize = TAG("Finalize");
    crypto_hash_sha512_state state;
    hash_to_group(element, input, length);
    if (crypto_scalarmult_ristretto255(element, sk, element) != 0) return -1;
    crypto_hash_sha512_init(&state);
    update(&state, lengths, sizeof lengths);
    update(&state, input, length);
    update(&state, element_length, sizeof element_length);
    update(&state, element, sizeof element);
    update(&state, finalize.text, finalize.length);
    crypto_hash_sha512_final(&state, output);
    return 0;
}

typedef struct {
    uint8_t sk[SCALAR], pk[ELEMENT];
    uint8_t seed[HASH]; /* of ComputeCompositesFast: depends on the public key alone, so a server has it ready */
} server_key;

static int load_key(server_key *key, const uint8_t sk[SCALAR]) {
    uint8_t transcript[2 + ELEMENT + 2 + 64];
    tag seed_dst = TAG("Seed-" CONTEXT);
    memcpy(key->sk, sk, SCALAR);
    if (crypto_scalarmult_ristretto255_base(key->pk, sk) != 0) return -1;
    uint8_t *end = put(put(transcript, key->pk, ELEMENT), seed_dst.text, seed_dst.length);
    crypto_hash_sha512(key->seed, transcript, (size_t)(end - transcript));
    return 0;
}

/*
 * RFC 9497 section 3.3.2, BlindEvaluate: decode, evaluate, and prove (section 2.2.1, GenerateProof).
 * `fixed_r` is for the vectors; NULL draws the proof's scalar at random. -1 for an element that must be refused.
 */
static int blind_evaluate(uint8_t evaluated[][ELEMENT], uint8_t proof[PROOF], const server_key *key,
                          const uint8_t blinded[][ELEMENT], size_t count, const uint8_t *fixed_r) {
    for (size_t i = 0; i < count; i++) {
        /* libsodium ignores bit 255 when it decodes; the identity and what is no element fail in the multiplication. */
        if (blinded[i][ELEMENT - 1] & 0x80) return -1;
        if (crypto_scalarmult_ristretto255(evaluated[i], key->sk, blinded[i]) != 0) return -1;
    }

    /* ComputeCompositesFast */
    uint8_t m[ELEMENT], z[ELEMENT], term[ELEMENT], d[SCALAR];
    uint8_t transcript[2 + HASH + 2 + 2 * (2 + ELEMENT) + 16];
    uint8_t *after_seed = put(transcript, key->seed, HASH);
    for (size_t i = 0; i < count; i++) {
        uint8_t *end = after_seed;
        *end++ = (uint8_t)(i >> 8);
        *end++ = (uint8_t)i;
        end = put_tag(put(put(end, blinded[i], ELEMENT), evaluated[i], ELEMENT), TAG("Composite"));
        hash_to_scalar(d, transcript, (size_t)(end - transcript));
        if (crypto_scalarmult_ristretto255(i == 0 ? m : term, d, blinded[i]) != 0) return -1;
        if (i > 0 && crypto_core_ristretto255_add(m, m, term) != 0) return -1;
    }
    if (crypto_scalarmult_ristretto255(z, key->sk, m) != 0) return -1;

    /* GenerateProof */
    uint8_t r[SCALAR], t2[ELEMENT], t3[ELEMENT], c_sk[SCALAR];
    uint8_t challenge[5 * (2 + ELEMENT) + 16], *c = proof, *s = proof + SCALAR;
    if (fixed_r) memcpy(r, fixed_r, SCALAR);
    else crypto_core_ristretto255_scalar_random(r);
    if (crypto_scalarmult_ristretto255_base(t2, r) != 0) return -1;
    if (crypto_scalarmult_ristretto255(t3, r, m) != 0) return -1;
    uint8_t *end = put(put(put(challenge, key->pk, ELEMENT), m, ELEMENT), z, ELEMENT);
    end = put_tag(put(put(end, t2, ELEMENT), t3, ELEMENT), TAG("Challenge"));
    hash_to_scalar(c, challenge, (size_t)(end - challenge));
    crypto_core_ristretto255_scalar_mul(c_sk, c, key->sk);
    crypto_core_ristretto255_scalar_sub(s, r, c_sk);
    return 0;
}

/* ---- the vectors ---------------------------------------------------------------------------------------------- */

static void unhex(uint8_t *bytes, size_t length, const char *hex) {
    size_t written;
    if (sodium_hex2bin(bytes, length, hex, strlen(hex), NULL, &written, NULL) != 0 || written != length) abort();
}

static void expect(const char *what, const uint8_t *got, size_t length, const char *hex) {
    uint8_t wanted[HASH];
    unhex(wanted, length, hex);
    if (memcmp(got, wanted, length) != 0) {
        fprintf(stderr, "limit: %s differs from its vector\n", what);
        exit(1);
    }
}

static void expect_refused(const char *what, int status) {
    if (status == 0) {
        fprintf(stderr, "limit: %s was not refused\n", what);
        exit(1);
    }
}

/* OWASP's Argon2id set: 19 MiB, two passes, one lane. */
enum { STANDARD_KIB = 19 * 1024, STANDARD_PASSES = 2, TESTING_KIB = 8, TESTING_PASSES = 1 };

static int argon2id(uint8_t out[32], const uint8_t *password, size_t length, const uint8_t salt[16], int passes,
                    int kib) {
    return crypto_pwhash(out, 32, (const char *)password, length, salt, (unsigned long long)passes, (size_t)kib * 1024,
                         crypto_pwhash_ALG_ARGON2ID13);
}

/* RFC 9497 A.1.2 (mode 1, ristretto255-SHA512). The Argon2id values are the reference implementation's. */
static void check_vectors(server_key *key) {
    uint8_t sk[SCALAR], input[17], output[HASH], blinded[2][ELEMENT], evaluated[2][ELEMENT], proof[PROOF], r[SCALAR];

    unhex(sk, SCALAR, "e6f73f344b79b379f1a0dd37e07ff62e38d9f71345ce62ae3a9bc60b04ccd909");
    if (load_key(key, sk) != 0) abort();
    expect("the public key", key->pk, ELEMENT, "c803e2cc6b05fc15064549b5920659ca4a77b2cca6f04f6b357009335476ad4e");

    input[0] = 0;
    if (evaluate(output, sk, input, 1) != 0) abort();
    expect("the first output", output, HASH,
           "b58cfbe118e0cb94d79b5fd6a6dafb98764dff49c14e1770b566e42402da1a7d"
           "a4d8527693914139caee5bd03903af43a491351d23b430948dd50cde10d32b3c");
    memset(input, 0x5a, sizeof input);
    if (evaluate(output, sk, input, sizeof input) != 0) abort();
    expect("the second output", output, HASH,
           "8a9a2f3c7f085b65933594309041fc1898d42d0858e59f90814ae90571a6df60"
           "356f4610bf816f27afdd84f47719e480906d27ecd994985890e5f539e7ea74b6");

    unhex(blinded[0], ELEMENT, "863f330cc1a1259ed5a5998a23acfd37fb4351a793a5b3c090b642ddc439b945");
    unhex(blinded[1], ELEMENT, "90a0145ea9da29254c3a56be4fe185465ebb3bf2a1801f7124bbbadac751e654");
    unhex(r, SCALAR, "222a5e897cf59db8145db8d16e597e8facb80ae7d4e26d9881aa6f61d645fc0e");
    if (blind_evaluate(evaluated, proof, key, blinded, 1, r) != 0) abort();
    expect("the evaluated element", evaluated[0], ELEMENT,
           "aa8fa048764d5623868679402ff6108d2521884fa138cd7f9c7669a9a014267e");
    expect("the proof", proof, PROOF,
           "ddef93772692e535d1a53903db24367355cc2cc78de93b3be5a8ffcc6985dd06"
           "6d4346421d17bf5117a2a1ff0fcb2a759f58a539dfbe857a40bce4cf49ec600d");
    unhex(r, SCALAR, "419c4f4f5052c53c45f3da494d2b67b220d02118e0857cdbcf037f9ea84bbe0c");
    if (blind_evaluate(evaluated, proof, key, blinded, 2, r) != 0) abort();
    expect("the second evaluated element", evaluated[1], ELEMENT,
           "cc5ac221950a49ceaa73c8db41b82c20372a4c8d63e5dded2db920b7eee36a2a");
    expect("the batched proof", proof, PROOF,
           "cc203910175d786927eeb44ea847328047892ddf8590e723c37205cb74600b0a"
           "5ab5337c8eb4ceae0494c2cf89529dcf94572ed267473d567aeed6ab873dee08");

    blinded[0][ELEMENT - 1] |= 0x80;
    expect_refused("an element with bit 255 set", blind_evaluate(evaluated, proof, key, blinded, 1, NULL));
    memset(blinded[0], 0, ELEMENT);
    expect_refused("the identity element", blind_evaluate(evaluated, proof, key, blinded, 1, NULL));
    memset(blinded[0], 0x7f, ELEMENT);
    expect_refused("a non-canonical element", blind_evaluate(evaluated, proof, key, blinded, 1, NULL));

    const uint8_t *password = (const uint8_t *)"breachcheck limit", *salt = (const uint8_t *)"16 bytes of salt";
    if (argon2id(output, password, 17, salt, STANDARD_PASSES, STANDARD_KIB) != 0) abort();
    expect("Argon2id with 19 MiB", output, 32, "3e25e5c1ea7daf2e139e6bd22c9fbb2e1ab835dce7740c7fd6f3dc03b96a846e");
    if (argon2id(output, password, 17, salt, TESTING_PASSES, TESTING_KIB) != 0) abort();
    expect("Argon2id with 8 KiB", output, 32, "5d74983302514ba5db01153af72f2a02d075979820dcebca9be7fffafca6683c");
}

/* ---- the measures --------------------------------------------------------------------------------------------- */

static server_key key;
static int page_file;
static long page_length = 24000, pages;

/* What one thread works on; `counter` makes every input new. */
typedef struct {
    uint64_t counter;
    uint8_t input[32], salt[16], element[ELEMENT], output[HASH];
    uint8_t blinded[MAX_BATCH][ELEMENT], evaluated[MAX_BATCH][ELEMENT], proof[PROOF];
    uint8_t page[MAX_PAGE];
} desk;

typedef int (*call)(desk *);

static int call_hash_to_group(desk *d) {
    hash_to_group(d->element, d->input, sizeof d->input);
    return 0;
}

static int call_scalarmult(desk *d) { return crypto_scalarmult_ristretto255(d->element, key.sk, d->element); }

static int call_evaluate(desk *d) { return evaluate(d->output, key.sk, d->input, sizeof d->input); }

static int call_blind_evaluate(desk *d, size_t count) {
    return blind_evaluate(d->evaluated, d->proof, &key, (const uint8_t(*)[ELEMENT])d->blinded, count, NULL);
}

static int call_blind_evaluate_1(desk *d) { return call_blind_evaluate(d, 1); }

static int call_blind_evaluate_8(desk *d) { return call_blind_evaluate(d, 8); }

static int call_argon2id_standard(desk *d) {
    return argon2id(d->output, d->input, sizeof d->input, d->salt, STANDARD_PASSES, STANDARD_KIB);
}

static int call_argon2id_testing(desk *d) {
    return argon2id(d->output, d->input, sizeof d->input, d->salt, TESTING_PASSES, TESTING_KIB);
}

/* libcrypto uses the processor's SHA instructions, libsodium does not: the faster of the two is the limit. */
static unsigned char *(*libcrypto_sha256)(const unsigned char *, size_t, unsigned char *);

static int call_sha256(desk *d) {
    if (libcrypto_sha256) return libcrypto_sha256(d->page, (size_t)page_length, d->output) == NULL;
    return crypto_hash_sha256(d->output, d->page, (unsigned long long)page_length);
}

/* FIPS 180-2, appendix B.1. */
static void check_sha256(void) {
    const char *abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    uint8_t digest[32];
    crypto_hash_sha256(digest, (const uint8_t *)"abc", 3);
    expect("SHA-256 of libsodium", digest, sizeof digest, abc);
    if (!libcrypto_sha256) return;
    libcrypto_sha256((const uint8_t *)"abc", 3, digest);
    expect("SHA-256 of libcrypto", digest, sizeof digest, abc);
}

static int call_pread(desk *d) {
    off_t page = (off_t)(d->counter * 97) % pages;
    return pread(page_file, d->page, (size_t)page_length, page * page_length) != page_length;
}

static int call_page(desk *d) { return call_pread(d) || call_sha256(d); }

/* `between` calls are made between two looks at the clock. */
static const struct {
    const char *name;
    call run;
    int between;
} measures[] = {
    {"hash_to_group", call_hash_to_group, 32},
    {"scalarmult", call_scalarmult, 16},
    {"evaluate", call_evaluate, 16},
    {"blind_evaluate_1", call_blind_evaluate_1, 4},
    {"blind_evaluate_8", call_blind_evaluate_8, 1},
    {"argon2id_standard", call_argon2id_standard, 1},
    {"argon2id_testing", call_argon2id_testing, 32},
    {"sha256", call_sha256, 16},
    {"pread", call_pread, 64},
    {"page", call_page, 16},
};
#define MEASURES (sizeof measures / sizeof measures[0])

/* Seconds that this thread has had a core. */
static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

typedef struct {
    size_t measure;
    double seconds, rate;
    pthread_barrier_t *start;
} job;

static void *work(void *argument) {
    job *j = argument;
    desk *d = calloc(1, sizeof *d);
    if (!d) abort();
    randombytes_buf(d->input, sizeof d->input);
    randombytes_buf(d->page, sizeof d->page);
    crypto_core_ristretto255_random(d->element);
    for (size_t i = 0; i < MAX_BATCH; i++) crypto_core_ristretto255_random(d->blinded[i]);

    call run = measures[j->measure].run;
    int between = measures[j->measure].between;
    if (run(d) != 0) abort();
    pthread_barrier_wait(j->start);
    double begin = now(), elapsed;
    do {
        for (int i = 0; i < between; i++) {
            d->counter++;
            memcpy(d->input, &d->counter, sizeof d->counter);
            if (run(d) != 0) abort();
        }
        elapsed = now() - begin;
    } while (elapsed < j->seconds);
    j->rate = (double)d->counter / elapsed;
    free(d);
    return NULL;
}

static double measure(size_t which, double seconds, int threads) {
    pthread_t thread[MAX_THREADS];
    job jobs[MAX_THREADS];
    pthread_barrier_t start;
    double rate = 0;
    pthread_barrier_init(&start, NULL, (unsigned)threads);
    for (int i = 0; i < threads; i++) {
        jobs[i] = (job){which, seconds, 0, &start};
        if (pthread_create(&thread[i], NULL, work, &jobs[i]) != 0) abort();
    }
    for (int i = 0; i < threads; i++) {
        pthread_join(thread[i], NULL);
        rate += jobs[i].rate;
    }
    pthread_barrier_destroy(&start);
    return rate;
}

/* A file of random pages without a name, written just now and so in the page cache. */
static int make_page_file(void) {
    const char *folder = getenv("TMPDIR");
    char path[4096];
    static uint8_t page[MAX_PAGE];
    snprintf(path, sizeof path, "%s/limit-XXXXXX", folder && *folder ? folder : "/tmp");
    int file = mkstemp(path);
    if (file < 0 || unlink(path) != 0) {
        fprintf(stderr, "limit: %s: %s\n", path, strerror(errno));
        exit(1);
    }
    randombytes_buf(page, (size_t)page_length);
    pages = PAGES_BYTES / page_length;
    for (long i = 0; i < pages; i++) {
        if (write(file, page, (size_t)page_length) != page_length) {
            fprintf(stderr, "limit: page file: %s\n", strerror(errno));
            exit(1);
        }
    }
    return file;
}

static int usage(void) {
    fprintf(stderr, "usage: limit [--threads 1..%d] [--page 1..%d] [--only NAME] SECONDS\nNAME is one of:", MAX_THREADS,
            MAX_PAGE);
    for (size_t i = 0; i < MEASURES; i++) fprintf(stderr, " %s", measures[i].name);
    fprintf(stderr, "\n");
    return 2;
}

int main(int argc, char **argv) {
    long threads = 1;
    double seconds = 0;
    const char *only = NULL;
    char *end;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--threads") == 0 && i + 1 < argc) {
            threads = strtol(argv[++i], &end, 10);
            if (*end || threads < 1 || threads > MAX_THREADS) return usage();
        } else if (strcmp(argv[i], "--page") == 0 && i + 1 < argc) {
            page_length = strtol(argv[++i], &end, 10);
            if (*end || page_length < 1 || page_length > MAX_PAGE) return usage();
        } else if (strcmp(argv[i], "--only") == 0 && i + 1 < argc) {
            only = argv[++i];
        } else {
            seconds = strtod(argv[i], &end);
            if (*end || !(seconds > 0 && seconds < 3600)) return usage();
        }
    }
    int known = only == NULL;
    for (size_t i = 0; !known && i < MEASURES; i++) known = strcmp(only, measures[i].name) == 0;
    if (seconds == 0 || !known) return usage();

    if (sodium_init() < 0) {
        fprintf(stderr, "limit: libsodium does not start\n");
        return 1;
    }
    const uint8_t z_pad[128] = {0};
    crypto_hash_sha512_init(&after_z_pad);
    update(&after_z_pad, z_pad, sizeof z_pad);
    check_vectors(&key);
    page_file = make_page_file();

    void *libcrypto = dlopen("libcrypto.so.3", RTLD_NOW);
    if (libcrypto) *(void **)&libcrypto_sha256 = dlsym(libcrypto, "SHA256");
    check_sha256();

    printf("{\"libsodium\": \"%s\", \"threads\": %ld, \"seconds\": %g", sodium_version_string(), threads, seconds);
    for (size_t i = 0; i < MEASURES; i++) {
        if (only && strcmp(only, measures[i].name) != 0) continue;
        printf(", \"%s\": %.2f", measures[i].name, measure(i, seconds, (int)threads));
    }
    printf("}\n");
    return 0;
}
