#include "ops/cpu/isa/simd.h"

#define V            v_f32
#define LANES        V_WIDTH
#define CHAINS       12
#define LOAD(p)      v_load_all(p)
#define STORE(p, v)  v_store_all(p, v)
#define SET1(x)      v_set(x)
#define FMA(a, b, c) v_fma(a, b, c)
#define PROBE(name)  name##__generic
#include "peak_kernel.h"
