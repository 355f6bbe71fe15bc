#define _XOPEN_SOURCE 700 /* nftw */
#include <ftw.h>
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "support/test.h"

double test_max_abs_error(const float *a, const float *b, size_t count)
{
    double most = 0;
    for (size_t i = 0; i < count; i++) {
        const double error = fabs((double)a[i] - (double)b[i]);
        if (!(error <= most))
            most = isfinite(error) ? error : INFINITY;
    }
    return most;
}

double test_relative_l2(const float *a, const float *b, size_t count)
{
    double difference = 0, norm = 0;
    for (size_t i = 0; i < count; i++) {
        const double d = (double)a[i] - (double)b[i];
        difference += d * d;
        norm += (double)b[i] * (double)b[i];
    }
    const double result = sqrt(difference) / fmax(sqrt(norm), 1e-30);
    return isfinite(result) ? result : INFINITY;
}

double test_formula(const char *key, uint64_t index)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (const char *c = key; *c != '\0'; c++)
        hash = (hash ^ (unsigned char)*c) * 0x100000001b3u;
    uint64_t z = hash + index + 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    z = z ^ (z >> 31);
    return (double)(z >> 40) / 8388608.0 - 1.0;
}

void test_fill(float *values, size_t count, uint32_t seed)
{
    uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;
    for (size_t i = 0; i < count; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        values[i] = (float)((double)(state >> 40) / 8388608.0 - 1.0);
    }
}

char *test_make_directory(char buffer[256], const char *name)
{
    static int serial;
    mkdir("build", 0777);
    mkdir("build/test-tmp", 0777);
    snprintf(buffer, 256, "build/test-tmp/%s-%ld-%d", name, (long)getpid(), serial++);
    test_remove_tree(buffer);
    assert_int_equal(mkdir(buffer, 0777), 0);
    return buffer;
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)info;
    (void)type;
    (void)walk;
    return remove(path);
}

void test_remove_tree(const char *path)
{
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *test_golden(char buffer[256], const char *name)
{
    snprintf(buffer, 256, "tests/golden/%s", name);
    return buffer;
}

const char *test_shared(char buffer[256], const char *name)
{
    const char *root = getenv("DET_SHARED");
    snprintf(buffer, 256, "%s/%s", root != NULL ? root : "../shared", name);
    return access(buffer, R_OK) == 0 ? buffer : NULL;
}

char *test_read_bytes(const char *path, size_t *bytes)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        fail_msg("cannot open %s", path);
    fseek(file, 0, SEEK_END);
    *bytes = (size_t)ftell(file);
    rewind(file);
    char *data = malloc(*bytes + 1);
    assert_non_null(data);
    assert_int_equal(fread(data, 1, *bytes, file), *bytes);
    data[*bytes] = '\0';
    fclose(file);
    return data;
}

char *test_read_text(const char *path)
{
    size_t bytes = 0;
    return test_read_bytes(path, &bytes);
}

static struct test_npy parse_npy(const unsigned char *bytes, size_t size, const char *name)
{
    struct test_npy array = {.count = 1};
    if (size < 12 || memcmp(bytes, "\x93NUMPY", 6) != 0)
        fail_msg("%s: not a .npy file", name);
    const bool version1 = bytes[6] == 1;
    const size_t header_bytes =
        version1 ? (size_t)bytes[8] | (size_t)bytes[9] << 8
                 : (size_t)bytes[8] | (size_t)bytes[9] << 8 | (size_t)bytes[10] << 16;
    const size_t start = version1 ? 10 : 12;
    assert_true(start + header_bytes <= size);
    char header[4096];
    assert_true(header_bytes < sizeof header);
    memcpy(header, bytes + start, header_bytes);
    header[header_bytes] = '\0';
    const char *descr = strstr(header, "'descr': '");
    const char *shape = strstr(header, "'shape': (");
    if (descr == NULL || shape == NULL || strstr(header, "'fortran_order': False") == NULL)
        fail_msg("%s: unexpected header %s", name, header);
    memcpy(array.type, descr + 11, 2);
    const char *at = shape + 10;
    while (*at != ')') {
        char *end = NULL;
        const unsigned long dimension = strtoul(at, &end, 10);
        if (end == at)
            break;
        assert_true(array.dims < 8);
        array.shape[array.dims++] = dimension;
        array.count *= dimension;
        at = end;
        while (*at == ',' || *at == ' ')
            at++;
    }
    const size_t element = (size_t)(array.type[1] - '0');
    const size_t need = array.count * element;
    assert_true(start + header_bytes + need <= size);
    array.data = malloc(need ? need : 1);
    assert_non_null(array.data);
    memcpy(array.data, bytes + start + header_bytes, need);
    return array;
}

struct test_npy test_npy_load(const char *path)
{
    size_t size = 0;
    char *bytes = test_read_bytes(path, &size);
    struct test_npy array = parse_npy((const unsigned char *)bytes, size, path);
    free(bytes);
    return array;
}

float *test_npy_load_float(const char *path, size_t *count)
{
    struct test_npy array = test_npy_load(path);
    float *values = malloc(array.count * sizeof *values + 1);
    assert_non_null(values);
    for (size_t i = 0; i < array.count; i++) {
        if (memcmp(array.type, "f4", 2) == 0)
            values[i] = ((const float *)array.data)[i];
        else if (memcmp(array.type, "f8", 2) == 0)
            values[i] = (float)((const double *)array.data)[i];
        else if (memcmp(array.type, "i4", 2) == 0)
            values[i] = (float)((const int32_t *)array.data)[i];
        else if (memcmp(array.type, "i8", 2) == 0)
            values[i] = (float)((const int64_t *)array.data)[i];
        else if (memcmp(array.type, "u1", 2) == 0)
            values[i] = (float)((const uint8_t *)array.data)[i];
        else
            fail_msg("%s: element type %s", path, array.type);
    }
    *count = array.count;
    test_npy_free(&array);
    return values;
}

void test_npy_free(struct test_npy *array)
{
    free(array->data);
    *array = (struct test_npy){0};
}

static uint32_t le32(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint32_t le16(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

struct test_npy test_npz_load(const char *path, const char *member)
{
    size_t size = 0;
    unsigned char *bytes = (unsigned char *)test_read_bytes(path, &size);
    struct test_npy array = {0};
    /* Walk the central directory, found by its end record (no archive comment in ours). */
    assert_true(size > 22);
    const unsigned char *end = bytes + size - 22;
    assert_int_equal(le32(end), 0x06054b50);
    const unsigned char *entry = bytes + le32(end + 16);
    for (uint32_t i = 0; i < le16(end + 10); i++) {
        const uint32_t name_bytes = le16(entry + 28);
        const char *name = (const char *)entry + 46;
        const bool match = name_bytes == strlen(member) + 4 &&
                           memcmp(name, member, name_bytes - 4) == 0 &&
                           memcmp(name + name_bytes - 4, ".npy", 4) == 0;
        if (match) {
            const unsigned char *local = bytes + le32(entry + 42);
            const unsigned char *data = local + 30 + le16(local + 26) + le16(local + 28);
            const uint32_t packed = le32(entry + 20), whole = le32(entry + 24);
            if (le16(entry + 10) == 0) {
                array = parse_npy(data, whole, member);
            } else {
                unsigned char *plain = malloc(whole + 1);
                assert_non_null(plain);
                z_stream stream = {.next_in = (Bytef *)(uintptr_t)data,
                                   .avail_in = packed,
                                   .next_out = plain,
                                   .avail_out = whole};
                assert_int_equal(inflateInit2(&stream, -15), Z_OK);
                assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
                inflateEnd(&stream);
                array = parse_npy(plain, whole, member);
                free(plain);
            }
            break;
        }
        entry += 46 + name_bytes + le16(entry + 30) + le16(entry + 32);
    }
    free(bytes);
    return array;
}

void test_keep_warning(void *user, det_log_level level, const char *message)
{
    struct test_warnings *warnings = user;
    const size_t used = strlen(warnings->text);
    if (level != DET_LOG_WARNING)
        return;
    snprintf(warnings->text + used, sizeof warnings->text - used, "%s\n", message);
    warnings->count++;
}
