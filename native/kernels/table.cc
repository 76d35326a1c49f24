// The kernels of one capability, as a table that dispatch.cc chooses by.
#include "kernels.h"

namespace rae::kernels::RAE_CAPABILITY {

void norm_forward(Kind, const NormForward&, int64_t, int64_t);
void norm_backward(Kind, const NormBackward&, int64_t, int64_t);
void norm_reduce(Kind, const NormBackward&);
void swiglu_forward(Kind, const Swiglu&, int64_t, int64_t);
void swiglu_backward(Kind, const Swiglu&, int64_t, int64_t);
void rotary_forward(const Rotary&, int64_t, int64_t);
void rotary_backward(const Rotary&, int64_t, int64_t);
void add_up(const Sums&);
void layer_norm(Kind, const LayerNorm&, int64_t, int64_t);
void bias_gelu(Kind, const Gelu&, int64_t, int64_t);
void bias_add(Kind, const Gelu&, int64_t, int64_t);
void adamw(const Adamw&, int64_t, int64_t);
double squares(const float*, int64_t);

extern const Table kTable;
const Table kTable = {norm_forward,   norm_backward,   norm_reduce, swiglu_forward, swiglu_backward,
                      rotary_forward, rotary_backward, add_up,      layer_norm,     bias_gelu,
                      bias_add,       adamw,           squares};

}  // namespace rae::kernels::RAE_CAPABILITY
