#include <ATen/ops/ones.h>
#include <gtest/gtest.h>

#include <map>

#include "base/error.h"
#include "check.h"
#include "ops/merging.h"
#include "ops/ref/ref.h"

namespace flanmoe::ops {
namespace {

const at::ScalarType kDtypes[] = {at::kFloat, at::kDouble, at::kBFloat16};

at::ScalarType parameter_dtype(at::ScalarType dtype) {
  return dtype == at::kDouble ? at::kDouble : at::kFloat;
}

// One of the forms in which a mixture comes.
struct Form {
  int64_t rows, experts, heads, width;  // of a head
  int64_t input_width;                  // 0: the values are routed
  bool applies_gelu;
  int64_t top_k;
};
// Few rows and many, odd widths, one expert and more than a vector of them.
const Form kForms[] = {
    {5, 3, 1, 7, 0, false, 0},     {70, 10, 2, 8, 0, false, 0},  {9, 1, 3, 5, 0, false, 0},
    {33, 5, 1, 40, 12, false, 0},  {33, 5, 1, 40, 40, true, 0},  {3, 5, 1, 40, 40, true, 2},
    {200, 20, 1, 33, 33, true, 1}, {40, 6, 4, 8, 0, false, 2},   {2, 6, 4, 8, 0, false, 1},
    {150, 4, 1, 300, 9, false, 3}, {17, 60, 2, 16, 0, false, 0},
};

struct Problem {
  at::Tensor values, input, kernel, vectors;
};
Problem make_problem(const Form& form, at::ScalarType dtype) {
  const auto parameters = parameter_dtype(dtype);
  const int64_t input_width = form.input_width ? form.input_width : form.width;
  return {
      random_tensor({form.rows, form.heads * form.width}, 1, dtype),
      form.input_width ? random_tensor({form.rows, form.input_width}, 2, dtype) : at::Tensor(),
      random_tensor({form.experts, input_width}, 3, parameters, 0.3),
      random_tensor({form.experts, form.heads * form.width}, 4, parameters),
  };
}

at::Tensor router_input(const Form& form, const Problem& p) {
  return p.input.defined() ? p.input : p.values.view({form.rows, form.heads, form.width});
}

MergingRouter make_router(const Form& form, const at::Tensor& kernel, const at::Tensor& input) {
  return {kernel, input, form.applies_gelu, form.top_k};
}

ref::Array expected_weights(const Form& form, const Problem& p) {
  return ref::merging_weights(values(router_input(form, p)), values(p.kernel), form.experts,
                              form.top_k, form.applies_gelu);
}

TEST(MergingWeights, EqualTheLoopVersion) {
  for (const auto dtype : kDtypes)
    for (const Form& form : kForms) {
      const Problem p = make_problem(form, dtype);
      const at::Tensor input = router_input(form, p);
      const at::Tensor weights =
          keep_largest(merging_weights(input, p.kernel, form.applies_gelu), form.top_k);
      EXPECT_EQ(weights.scalar_type(), parameter_dtype(dtype));
      EXPECT_EQ(weights.dim(), input.dim());
      EXPECT_EQ(compare(weights, expected_weights(form, p)), "") << form.rows;
      EXPECT_EQ(compare(composite::merging_weights(input, p.kernel, form.applies_gelu),
                        values(merging_weights(input, p.kernel, form.applies_gelu))),
                "");
    }
}

TEST(ScaleByMixture, EqualsTheLoopVersion) {
  for (const auto dtype : kDtypes)
    for (const Form& form : kForms) {
      const Problem p = make_problem(form, dtype);
      const ref::Array expected = ref::scale_by_weights(
          values(p.values), expected_weights(form, p), values(p.vectors), form.heads, form.experts);
      const MergingRouter router = make_router(form, p.kernel, p.input);
      const at::Tensor y = scale_by_mixture(p.values, p.vectors, router, form.heads);
      EXPECT_EQ(y.scalar_type(), dtype);
      EXPECT_EQ(compare(y, expected), "") << form.rows;
      EXPECT_EQ(
          compare(composite::scale_by_mixture(p.values, p.vectors, router, form.heads), expected),
          "")
          << form.rows;
      const at::Tensor weights = keep_largest(
          merging_weights(router_input(form, p), p.kernel, form.applies_gelu), form.top_k);
      EXPECT_EQ(compare(scale_by_weights(p.values, weights, p.vectors, form.top_k > 0), expected),
                "")
          << form.rows;
    }
}

TEST(ScaleByMixture, LeavesValuesAloneWhereAllVectorsAreOne) {
  for (const auto dtype : kDtypes)
    for (const Form& form : kForms) {
      const Problem p = make_problem(form, dtype);
      const at::Tensor ones = at::ones(p.vectors.sizes(), p.vectors.options());
      MergingRouter router = make_router(form, p.kernel, p.input);
      router.top_k = 0;
      EXPECT_EQ(compare_bytes(scale_by_mixture(p.values, ones, router, form.heads), p.values), "");
    }
}

TEST(Scale, IsAMixtureOfOne) {
  for (const auto dtype : kDtypes)
    for (const int64_t rows : {3, 90}) {
      const Form form{rows, 1, 1, 40, 0, false, 0};
      const Problem p = make_problem(form, dtype);
      EXPECT_EQ(
          compare_bytes(scale(p.values, p.vectors[0]),
                        scale_by_mixture(p.values, p.vectors, make_router(form, p.kernel, {}))),
          "");
      EXPECT_EQ(compare(scale(p.values, p.vectors[0]), values(p.values.mul(p.vectors))), "");
    }
  EXPECT_EQ(check_gradients([](const Inputs& in) { return scale(in[0], in[1]); },
                            {random_tensor({7, 5}, 1), random_tensor({5}, 2)}),
            "");
  EXPECT_THROW(scale(random_tensor({7, 5}, 1), random_tensor({4}, 2)), Error);
}

at::Tensor mix(const Form& form, const Inputs& in) {
  return scale_by_mixture(
      in[0], in[1], make_router(form, in[2], form.input_width ? in[3] : at::Tensor()), form.heads);
}
Inputs inputs_of(const Form& form, at::ScalarType dtype) {
  const Problem p = make_problem(form, dtype);
  Inputs inputs{p.values, p.vectors, p.kernel};
  if (form.input_width) inputs.push_back(p.input);
  return inputs;
}

TEST(ScaleByMixture, GradientsAgreeWithDifferences) {
  for (Form form : kForms) {
    form.rows = form.rows % 7 + 2;
    form.width = std::min<int64_t>(form.width, 11);
    form.input_width = std::min<int64_t>(form.input_width, 11);
    EXPECT_EQ(check_gradients([&](const Inputs& in) { return mix(form, in); },
                              inputs_of(form, at::kDouble)),
              "")
        << form.experts << " experts, " << form.heads << " heads";
  }
}

TEST(ScaleByMixture, GradientsOfManyRowsEqualThoseOfLibtorchsOperations) {
  for (const Form& form : kForms) {
    const Inputs inputs = inputs_of(form, at::kDouble);
    const Inputs own = compute_gradients([&](const Inputs& in) { return mix(form, in); }, inputs);
    const Inputs others = compute_gradients(
        [&](const Inputs& in) {
          return composite::scale_by_mixture(
              in[0], in[1], make_router(form, in[2], form.input_width ? in[3] : at::Tensor()),
              form.heads);
        },
        inputs);
    const Inputs given = compute_gradients(
        [&](const Inputs& in) {
          const at::Tensor input =
              form.input_width ? in[3] : in[0].view({form.rows, form.heads, form.width});
          return scale_by_weights(
              in[0], keep_largest(merging_weights(input, in[2], form.applies_gelu), form.top_k),
              in[1], form.top_k > 0);
        },
        inputs);
    for (size_t i = 0; i < own.size(); ++i) {
      EXPECT_EQ(compare(own[i], values(others[i])), "") << form.rows << " input " << i;
      EXPECT_EQ(compare(given[i], values(others[i])), "") << form.rows << " input " << i;
    }
  }
}

TEST(ScaleByMixture, GradientsOfBfloat16AreRoundedOnesOfFloat64) {
  for (const Form& form : kForms) {
    if (form.top_k > 0) continue;
    const Inputs inputs = inputs_of(form, at::kBFloat16);
    Inputs wide;
    for (const at::Tensor& input : inputs) wide.push_back(input.to(at::kDouble));
    const auto function = [&](const Inputs& in) { return mix(form, in); };
    const Inputs narrow = compute_gradients(function, inputs),
                 exact = compute_gradients(function, wide);
    for (size_t i = 0; i < inputs.size(); ++i) {
      const double largest = exact[i].abs().max().item<double>();
      EXPECT_EQ(compare(values(narrow[i]), values(exact[i]), {0.02 * largest, 0.02}), "")
          << form.rows << " input " << i;
    }
  }
}

TEST(ScaleByMixture, DoesNotHangOnTheNumberOfThreads) {
  for (const Form& form : kForms)
    EXPECT_EQ(compare_threads([&] {
                Inputs results = compute_gradients([&](const Inputs& in) { return mix(form, in); },
                                                   inputs_of(form, at::kFloat));
                const Inputs in = inputs_of(form, at::kFloat);
                results.push_back(mix(form, in));
                return results;
              }),
              "");
}

TEST(ScaleByMixture, GivesOnlyTheGradientsThatAreWanted) {
  const Form form = kForms[3];
  for (size_t wanted = 0; wanted < 4; ++wanted) {
    Inputs inputs = inputs_of(form, at::kDouble);
    inputs[wanted].requires_grad_(true);
    mix(form, inputs).sum().backward();
    for (size_t i = 0; i < inputs.size(); ++i) {
      EXPECT_EQ(inputs[i].grad().defined(), i == wanted);
    }
  }
}

TEST(ScaleByMixture, TakesStridedValuesAndNoRows) {
  const Form form{12, 4, 2, 6, 0, false, 0};
  const Problem p = make_problem(form, at::kDouble);
  const at::Tensor wide = random_tensor({12, 30}, 9, at::kDouble);
  wide.narrow(1, 5, 12).copy_(p.values);
  const MergingRouter router = make_router(form, p.kernel, p.input);
  EXPECT_EQ(compare(scale_by_mixture(wide.narrow(1, 5, 12), p.vectors, router, 2),
                    values(scale_by_mixture(p.values, p.vectors, router, 2))),
            "");
  at::Tensor none = p.values.narrow(0, 0, 0).detach().requires_grad_(true);
  at::Tensor vectors = p.vectors.detach().requires_grad_(true);
  scale_by_mixture(none, vectors, router, 2).sum().backward();
  EXPECT_EQ(vectors.grad().abs().sum().item<double>(), 0);
}

TEST(ScaleByMixture, ObjectsToShapesThatDoNotFit) {
  const Form form{12, 4, 2, 6, 0, false, 0};
  const Problem p = make_problem(form, at::kDouble);
  const MergingRouter router = make_router(form, p.kernel, p.input);
  EXPECT_THROW(scale_by_mixture(p.values, p.vectors.narrow(1, 0, 6), router, 2), Error);
  EXPECT_THROW(scale_by_mixture(p.values, p.vectors, router, 5), Error);
  EXPECT_THROW(scale_by_mixture(p.values, p.vectors, router, 1), Error);
  EXPECT_THROW(scale_by_weights(p.values, p.values, p.vectors), Error);
  EXPECT_THROW(merging_weights(p.values, p.kernel), Error);
}

// x, output, a [n, r, I], b [n, O, r], weights
Inputs make_low_rank(int64_t rows, int64_t experts, int64_t rank, int64_t in, int64_t out,
                     at::ScalarType dtype) {
  const auto parameters = parameter_dtype(dtype);
  return {random_tensor({rows, in}, 1, dtype), random_tensor({rows, out}, 2, dtype),
          random_tensor({experts, rank, in}, 3, parameters, 0.3),
          random_tensor({experts, out, rank}, 4, parameters, 0.3),
          random_tensor({rows, experts}, 5, parameters).abs()};
}
at::Tensor change(const Inputs& in, bool has_weights, double scale) {
  const auto dtype = in[0].scalar_type();
  const int64_t ranks = in[2].size(0) * in[2].size(1);
  return add_low_rank(in[1], in[0], {in[2].detach().view({ranks, -1}).to(dtype), in[2]},
                      {in[3].detach().permute({1, 0, 2}).reshape({-1, ranks}).to(dtype), in[3]},
                      scale, has_weights ? in[4] : at::Tensor());
}

TEST(AddLowRank, EqualsTheLoopVersion) {
  for (const auto dtype : kDtypes)
    for (const int64_t rows : {1, 7, 50})
      for (const int64_t experts : {1, 5}) {
        Inputs in = make_low_rank(rows, experts, 4, 24, 18, dtype);
        for (size_t i : {2u, 3u}) in[i] = in[i].to(dtype).to(in[i].scalar_type());
        for (const bool has_weights : {false, true}) {
          if (!has_weights) in[4].fill_(1);
          // in bfloat16 what stands between the products is rounded too
          const Tolerance limit = dtype == at::kBFloat16 ? Tolerance{0.15, 0.02} : tolerance(dtype);
          EXPECT_EQ(compare(values(change(in, has_weights, 2.5)),
                            ref::add_low_rank(values(in[1]), values(in[0]), values(in[2]),
                                              values(in[3]), 2.5, values(in[4]), experts, 4),
                            limit),
                    "")
              << rows << " rows, " << experts << " experts";
        }
      }
}

TEST(AddLowRank, LeavesTheOutputAloneWhereBIsZero) {
  for (const auto dtype : kDtypes) {
    const Inputs in = make_low_rank(40, 3, 4, 24, 18, dtype);
    in[3].zero_();
    EXPECT_EQ(compare_bytes(change(in, true, 4), in[1]), "");
  }
}

TEST(AddLowRank, GradientsAgreeWithDifferences) {
  Inputs in = make_low_rank(6, 3, 2, 5, 4, at::kDouble);
  EXPECT_EQ(check_gradients([](const Inputs& x) { return change(x, true, 1.5); }, in), "");
  in.pop_back();
  EXPECT_EQ(check_gradients([](const Inputs& x) { return change(x, false, 0.5); }, in), "");
}

TEST(AddLowRank, ObjectsToShapesThatDoNotFit) {
  const Inputs in = make_low_rank(6, 3, 2, 5, 4, at::kDouble);
  const at::Tensor a = in[2].view({6, 5}), b = in[3].permute({1, 0, 2}).reshape({4, 6});
  EXPECT_THROW(add_low_rank(in[1], in[0], a, b.narrow(1, 0, 5), 1), Error);
  EXPECT_THROW(add_low_rank(in[0], in[0], a, b, 1), Error);
  EXPECT_THROW(add_low_rank(in[1], in[0], a, b, 1, in[0]), Error);
  EXPECT_THROW(add_low_rank(in[1], in[0].to(at::kFloat), a, b, 1), Error);
}

}  // namespace
}  // namespace flanmoe::ops
