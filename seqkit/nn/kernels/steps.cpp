// One time step of an LSTM and of additive attention, forward and backward, without the matrix products, which stay
// torch's; cross entropy; dropout. Built and called by kernels/__init__.py; the plain modules are the law.
//
// N is float or bfloat16, the type of what enters or leaves a product; cell states, energies, weights of attention and
// everything that is summed are float. Tensors are dense but for rows, whose distance is given as `..._row`.
//
// B batch (or queries), H hidden width, S source positions, A attention width, D memory width.

#include <cmath>
#include <cstdint>
#include <cstring>

namespace {

struct bfloat16 { uint16_t bits; };

inline float load(const float* p) { return *p; }
inline float load(const bfloat16* p) {
    uint32_t bits = uint32_t(p->bits) << 16;
    float x;
    std::memcpy(&x, &bits, 4);
    return x;
}
inline void store(float* p, float x) { *p = x; }
inline void store(bfloat16* p, float x) {  // to the nearest, ties to even
    uint32_t bits;
    std::memcpy(&bits, &x, 4);
    p->bits = uint16_t((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

inline float exponential(float x) {  // 2^n e^r with |r| <= ln 2 / 2; a few units in the last place
    x = x < -87.f ? -87.f : x > 88.f ? 88.f : x;
    float n = std::floor(x * 1.44269504f + .5f), r = x - n * .693359375f + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.f;
    int32_t bits = (int32_t(n) + 127) << 23;
    float scale;
    std::memcpy(&scale, &bits, 4);
    return p * scale;
}
inline float logistic(float x) { return 1.f / (1.f + exponential(-x)); }
inline float tangent(float x) { return 2.f * logistic(2.f * x) - 1.f; }

// gates (B, 4H) of the input and `recurrent` (B, 4H) of the state, in torch's order i f g o, to the activated gates, h
// and c. Rows that are not `real` (null: all are) keep h and c.
template <typename N>
void lstm_forward(int B, int H, const uint8_t* real, const N* gates, const N* recurrent, const N* h, int64_t h_row,
                  const float* c, N* activated, N* next_h, int64_t next_h_row, float* next_c) {
    #pragma omp parallel for schedule(static)
    for (int b = 0; b < B; ++b) {
        const N *g = gates + int64_t(b) * 4 * H, *r = recurrent + int64_t(b) * 4 * H, *before = h + b * h_row;
        const float* c_before = c + int64_t(b) * H;
        N *a = activated + int64_t(b) * 4 * H, *after = next_h + b * next_h_row;
        float* c_after = next_c + int64_t(b) * H;
        if (real && !real[b]) {
            std::memcpy(after, before, sizeof(N) * H);
            std::memcpy(c_after, c_before, sizeof(float) * H);
            continue;
        }
        #pragma omp simd
        for (int j = 0; j < H; ++j) {
            float in = logistic(load(g + j) + load(r + j));
            float forget = logistic(load(g + H + j) + load(r + H + j));
            float cell = tangent(load(g + 2 * H + j) + load(r + 2 * H + j));
            float out = logistic(load(g + 3 * H + j) + load(r + 3 * H + j));
            float now = forget * c_before[j] + in * cell;
            store(a + j, in);
            store(a + H + j, forget);
            store(a + 2 * H + j, cell);
            store(a + 3 * H + j, out);
            c_after[j] = now;
            store(after + j, out * tangent(now));
        }
    }
}

// The gradient of h after the step is the sum of what is carried in `dh`, `recurrent` from the step after, and `outer`;
// to the gradients of the gates before activation, and of c before the step, in `dc`. Rows that are not real carry dh.
template <typename N>
void lstm_backward(int B, int H, const uint8_t* real, const N* activated, const float* c, const float* next_c,
                   const N* recurrent, int64_t recurrent_row, const float* outer, N* dgates, float* dh, float* dc) {
    #pragma omp parallel for schedule(static)
    for (int b = 0; b < B; ++b) {
        const N *a = activated + int64_t(b) * 4 * H, *r = recurrent + b * recurrent_row;
        const float *before = c + int64_t(b) * H, *after = next_c + int64_t(b) * H, *o = outer + int64_t(b) * H;
        N* g = dgates + int64_t(b) * 4 * H;
        float *carried = dh + int64_t(b) * H, *d = dc + int64_t(b) * H;
        if (real && !real[b]) {
            std::memset(g, 0, sizeof(N) * 4 * H);
            for (int j = 0; j < H; ++j) carried[j] += load(r + j) + o[j];
            continue;
        }
        #pragma omp simd
        for (int j = 0; j < H; ++j) {
            float in = load(a + j), forget = load(a + H + j), cell = load(a + 2 * H + j), out = load(a + 3 * H + j);
            float from = carried[j] + load(r + j) + o[j], bent = tangent(after[j]);
            float down = d[j] + from * out * (1.f - bent * bent);
            carried[j] = 0.f;
            store(g + j, down * cell * in * (1.f - in));
            store(g + H + j, down * before[j] * forget * (1.f - forget));
            store(g + 2 * H + j, down * in * (1.f - cell * cell));
            store(g + 3 * H + j, from * bent * out * (1.f - out));
            d[j] = down * forget;
        }
    }
}

// weights (B, S) = softmax of v' tanh(keys + query) over the positions of the mask, 0 elsewhere; context (B, D). Each
// `copies` neighboring queries have one row of the mask, keys and values.
template <typename N>
void attention_forward(int B, int S, int A, int D, int copies, const uint8_t* mask, const N* keys, const N* values,
                       const float* v, const N* query, int64_t query_row, float* weights, N* context,
                       int64_t context_row, float* scratch) {
    #pragma omp parallel for schedule(static)
    for (int b = 0; b < B; ++b) {
        const int64_t row = b / copies;
        const uint8_t* real = mask + row * S;
        const N *k = keys + row * S * A, *x = values + row * S * D, *q = query + b * query_row;
        float *w = weights + int64_t(b) * S, *sum = scratch + int64_t(b) * D;
        float most = -INFINITY, total = 0.f;
        for (int s = 0; s < S; ++s) {
            if (!real[s]) continue;
            float score = 0.f;
            #pragma omp simd reduction(+ : score)
            for (int a = 0; a < A; ++a) score += v[a] * tangent(load(k + int64_t(s) * A + a) + load(q + a));
            w[s] = score;
            most = score > most ? score : most;
        }
        for (int s = 0; s < S; ++s) total += w[s] = real[s] ? exponential(w[s] - most) : 0.f;
        std::memset(sum, 0, sizeof(float) * D);
        for (int s = 0; s < S; ++s) {
            if (!real[s]) continue;
            w[s] /= total;
            #pragma omp simd
            for (int d = 0; d < D; ++d) sum[d] += w[s] * load(x + int64_t(s) * D + d);
        }
        N* to = context + b * context_row;
        for (int d = 0; d < D; ++d) store(to + d, sum[d]);
    }
}

// From the gradient of the context (B, D), and of the weights (B, S) or null: dquery (B, A); added to dkeys (B, S, A),
// dvalues (B, S, D) and dv (B, A), one row an item.
template <typename N>
void attention_backward(int B, int S, int A, int D, const uint8_t* mask, const N* keys, const N* values,
                        const float* v, const N* query, int64_t query_row, const float* weights,
                        const float* dcontext, int64_t dcontext_row, const float* dweights, N* dquery,
                        int64_t dquery_row, float* dkeys, float* dvalues, float* dv, float* scratch) {
    #pragma omp parallel for schedule(static)
    for (int b = 0; b < B; ++b) {
        const N *k = keys + int64_t(b) * S * A, *x = values + int64_t(b) * S * D, *q = query + b * query_row;
        const float *w = weights + int64_t(b) * S, *dc = dcontext + b * dcontext_row;
        float *dk = dkeys + int64_t(b) * S * A, *dx = dvalues + int64_t(b) * S * D, *dvb = dv + int64_t(b) * A;
        float *dw = scratch + int64_t(b) * (S + A), *dq = dw + S;
        const uint8_t* real = mask + int64_t(b) * S;
        float mean = 0.f;
        for (int s = 0; s < S; ++s) {
            if (!real[s]) continue;
            float dot = dweights ? dweights[int64_t(b) * S + s] : 0.f;
            #pragma omp simd reduction(+ : dot)
            for (int d = 0; d < D; ++d) {
                dot += dc[d] * load(x + int64_t(s) * D + d);
                dx[int64_t(s) * D + d] += w[s] * dc[d];
            }
            dw[s] = dot;
            mean += w[s] * dot;
        }
        std::memset(dq, 0, sizeof(float) * A);
        for (int s = 0; s < S; ++s) {
            if (!real[s]) continue;
            float dscore = w[s] * (dw[s] - mean);
            #pragma omp simd
            for (int a = 0; a < A; ++a) {
                float bent = tangent(load(k + int64_t(s) * A + a) + load(q + a));
                float d = dscore * v[a] * (1.f - bent * bent);
                dvb[a] += dscore * bent;
                dq[a] += d;
                dk[int64_t(s) * A + a] += d;
            }
        }
        N* to = dquery + b * dquery_row;
        for (int a = 0; a < A; ++a) store(to + a, dq[a]);
    }
}

// losses (N,) of logits (N, V) with label smoothing, and their gradients by the logits.
template <typename N>
void cross_entropy(int rows, int V, const N* logits, const int64_t* targets, float smoothing, float* losses,
                   N* dlogits) {
    #pragma omp parallel for schedule(static)
    for (int n = 0; n < rows; ++n) {
        const N* x = logits + int64_t(n) * V;
        N* d = dlogits + int64_t(n) * V;
        float most = -INFINITY, total = 0.f, sum = 0.f, spread = smoothing / V;
        #pragma omp simd reduction(max : most)
        for (int i = 0; i < V; ++i) most = load(x + i) > most ? load(x + i) : most;
        #pragma omp simd reduction(+ : total, sum)
        for (int i = 0; i < V; ++i) {
            total += exponential(load(x + i) - most);
            sum += load(x + i);
        }
        float norm = most + std::log(total), right = load(x + targets[n]);
        losses[n] = norm - (1.f - smoothing) * right - spread * sum;
        #pragma omp simd
        for (int i = 0; i < V; ++i) store(d + i, exponential(load(x + i) - norm) - spread);
        store(d + targets[n], exponential(right - norm) - spread - (1.f - smoothing));
    }
}

// Bits that look drawn, a function of `i` and two keys: two rounds of an integer hash.
inline uint32_t drawn(uint32_t i, uint32_t key, uint32_t other) {
    uint32_t x = i * 0x9e3779b9u + key;
    x = (x ^ (x >> 16)) * 0x7feb352du;
    x = (x ^ (x >> 15)) * 0x846ca68bu;
    x = (x ^ (x >> 16)) + other;
    x = (x ^ (x >> 15)) * 0x735a2d97u;
    x = (x ^ (x >> 15)) * 0x2c1b3c6du;
    return x ^ (x >> 15);
}

// Of `size` numbers each is 0 with probability `p`, else divided by 1 - p; which ones, the two keys say.
template <typename N>
void dropout(int64_t size, int key, int other, float p, const N* from, N* to) {
    const uint32_t least = uint32_t(double(p) * 4294967296.0);
    const float scale = 1.f / (1.f - p);
    const int64_t block = 1 << 14;
    #pragma omp parallel for schedule(static)
    for (int64_t first = 0; first < size; first += block) {
        const int count = int(size - first < block ? size - first : block);
        const uint32_t own = uint32_t(key) + uint32_t(first >> 32) * 0x85ebca6bu, begin = uint32_t(first);
        #pragma omp simd
        for (int i = 0; i < count; ++i) {
            float kept = drawn(begin + i, own, uint32_t(other)) < least ? 0.f : scale;
            store(to + first + i, load(from + first + i) * kept);
        }
    }
}

}  // namespace

// Every function as an entry of a table, float before bfloat16: one name to look up.
extern "C" void* const lstm_forward_of[] = {(void*)lstm_forward<float>, (void*)lstm_forward<bfloat16>};
extern "C" void* const lstm_backward_of[] = {(void*)lstm_backward<float>, (void*)lstm_backward<bfloat16>};
extern "C" void* const attention_forward_of[] = {(void*)attention_forward<float>, (void*)attention_forward<bfloat16>};
extern "C" void* const attention_backward_of[] = {(void*)attention_backward<float>,
                                                  (void*)attention_backward<bfloat16>};
extern "C" void* const cross_entropy_of[] = {(void*)cross_entropy<float>, (void*)cross_entropy<bfloat16>};
extern "C" void* const dropout_of[] = {(void*)dropout<float>, (void*)dropout<bfloat16>};
