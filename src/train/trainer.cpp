#include "train/trainer.h"

#include <chrono>
#include <cmath>

#include "base/file.h"
#include "base/interrupt.h"
#include "base/json.h"
#include "base/log.h"
#include "base/progress.h"
#include "data/prefetch.h"
#include "train/budget.h"
#include "train/divergence.h"
#include "train/expert_statistics.h"
#include "train/gradients.h"
#include "train/metrics.h"
#include "train/optimizer_state.h"
#include "train/parameter_sets.h"
#include "train/schedule.h"
#include "train/stage_folder.h"
#include "train/step.h"

namespace flanmoe::train {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void check_job(const Job& job) {
  if (job.out.empty()) fail(ErrorCode::InvalidArgument, "[train] no output folder");
  if (!job.draw) fail(ErrorCode::InvalidArgument, "[train] no data");
}

// A bar over the steps or, where those are not known, over the FLOPs to be spent.
class StageProgress {
 public:
  StageProgress(const Budget& budget, const std::string& label)
      : counts_flops_(budget.train_flops() > 0),
        bar_(label.empty() ? "train" : label,
             counts_flops_ ? std::llround(std::ceil(budget.train_flops() / kGiga)) : budget.steps(),
             counts_flops_ ? "GFLOP" : "steps") {}
  void update(const Counts& counts, double loss) {
    bar_.update(counts_flops_ ? static_cast<int64_t>(counts.train_flops / kGiga) : counts.step,
                fmt::format("loss {:.4f}", loss));
  }

 private:
  static constexpr double kGiga = 1e9;
  bool counts_flops_;
  Progress bar_;
};

class Loop {
 public:
  Loop(model::LoadedModel& loaded, const Config& config, const Job& job, const StageFolder& folder,
       const Selection& selection)
      : loaded_(loaded),
        config_(config),
        job_(job),
        folder_(folder),
        selection_(selection),
        budget_(config),
        optimizer_(make_optimizer(selection.trained(), config.optimizer)) {}

  Result run() {
    resume();
    describe();
    clear_gradients(loaded_.model->parameters());
    set_gradient_dtypes(selection_.trained(), config_);
    StageProgress progress(budget_, job_.label);
    while (!is_done(counts_)) {
      run_step();
      progress.update(counts_, loss_);
      if (job_.after_step) job_.after_step(counts_.step);
      const bool is_interrupt = is_interrupted() && !is_done(counts_);
      if (is_interrupt || is_checkpoint_due()) save();
      if (is_interrupt)
        fail(ErrorCode::Interrupted, "[train] stopped at step {}; continue with --resume", where());
    }
    return finish(wall_s());
  }

 private:
  double wall_s() const { return earlier_wall_s_ + seconds_since(start_); }
  bool is_done(const Counts& counts) const { return budget_.spent(counts, wall_s()).has_value(); }
  bool is_checkpoint_due() const {
    return config_.checkpoint_every > 0 && counts_.step % config_.checkpoint_every == 0 &&
           !is_done(counts_);
  }

  std::string where() const { return budget_.describe(counts_, wall_s()); }

  void resume() {
    int64_t metrics_bytes = 0;
    if (config_.starts_from_optimizer_state) {
      first_step_ = load_optimizer_step(loaded_.folder, config_.optimizer.name);
      load_optimizer_state(loaded_.folder, loaded_.model->parameters(), *optimizer_);
    }
    if (job_.resumes) {
      if (const auto progressed = folder_.load_checkpoint(loaded_, *optimizer_)) {
        counts_ = progressed->counts;
        cursor_ = progressed->cursor;
        window_ = Window::parse(progressed->window);
        experts_.restore(progressed->experts);
        metrics_bytes = progressed->metrics_bytes;
        log::info("[train] resumed at step {} ({})", where(), folder_.checkpoint_path());
      }
    }
    metrics_ = std::make_unique<LineAppender>(folder_.metrics_path(), metrics_bytes);
    data::BatchStream stream(job_.draw, config_.batch, static_cast<uint64_t>(config_.seed));
    stream.seek(cursor_);
    batches_ = std::make_unique<data::Prefetcher>(std::move(stream));
  }

  void describe() const {
    const int64_t num_total = nn::num_elements(loaded_.model->parameters());
    const bool is_packed = config_.batch.packing != data::Packing::None;
    log::info("[train] {} parameters, {} of them trained; {} of {} {}; {}, {}, seed {}",
              format_count(static_cast<double>(num_total)),
              format_count(static_cast<double>(selection_.num_trained())), budget_.describe(),
              config_.batch.batch_size, is_packed ? "packed rows" : "examples",
              config_.optimizer.name, to_string(config_.precision), config_.seed);
    log::info("[train] {}", selection_.summary());
  }

  void run_step() {
    const auto start = Clock::now();
    const model::Model& model = *loaded_.model;
    const data::Prefetcher::Item item = batches_->next();
    const data::Batch& batch = item.batch;
    const Counts of_step = count_batch(batch, model.config());
    Counts after = counts_;
    after.add(of_step);
    const bool is_logged = after.step % config_.log_every == 0 || is_done(after);

    experts_.begin_step(is_logged);
    StepValues values = compute_gradients(model, batch, config_, after.step, experts_);
    if (const double loss = values.front().second; !std::isfinite(loss))
      fail_on_loss(loss, model.parameters(), batch, after.step);
    const double norm = compute_gradient_norm(selection_.trained());
    if (!std::isfinite(norm)) fail_on_gradient(selection_.trained(), batch, after.step);
    values.emplace_back("gradient_norm", norm);
    values.emplace_back("input_fill", batch.statistics.input_fill());
    values.emplace_back("target_fill", batch.statistics.target_fill());
    values.emplace_back("closing_fill", batch.statistics.closing_fill());
    warn_about_missing_gradients(after.step);
    const double learning_rate = learning_rate_at(
        {.step = after.step, .fraction = budget_.fraction(counts_, wall_s())}, config_);
    optimizer_->step(first_step_ + after.step, learning_rate,
                     compute_clip_scale(norm, config_.max_gradient_norm));
    clear_gradients(selection_.trained());

    counts_ = after;
    cursor_ = item.next;
    if (num_timed_steps_++ > 0) later_data_wait_s_ += item.wait_s;
    loss_ = values.front().second;
    experts_.watch(counts_.step);
    window_.add(values);
    window_.add_seconds(seconds_since(start), item.wait_s, of_step);
    if (is_logged) write_metrics(learning_rate);
  }

  // In the first step of a stage.
  void warn_about_missing_gradients(int64_t step) const {
    if (step != 1) return;
    for (const std::string& group : find_groups_without_gradient(selection_.trained()))
      log::warn(
          "[train] the trained group '{}' received no gradient in step 1: freeze it, or see why "
          "the loss does not depend on it",
          group);
  }

  void write_metrics(double learning_rate) {
    Json line = window_.to_line(counts_, learning_rate);
    if (loaded_.model->config().is_sparse()) line["experts"] = experts_.take();
    metrics_->append(line.dump());
    final_loss_ = window_.mean("loss");
    window_.clear();
  }

  void save() {
    Progressed progressed{counts_, cursor_, metrics_->size_bytes(), window_.to_json(),
                          experts_.to_json()};
    folder_.save_checkpoint(loaded_, *optimizer_, progressed);
    log::debug("[train] saved {} at step {}", folder_.checkpoint_path(), counts_.step);
  }

  Result finish(double wall_s) {
    if (counts_.num_cut_inputs + counts_.num_cut_targets > 0)
      log::warn(
          "[train] of {} examples, {} inputs were longer than batch.input_length and {} targets "
          "longer than batch.target_length; they were cut",
          counts_.num_examples, counts_.num_cut_inputs, counts_.num_cut_targets);
    if (num_timed_steps_ > 1)
      log::info("[train] waited {:.2g} s a step for data, the first step aside",
                later_data_wait_s_ / static_cast<double>(num_timed_steps_ - 1));
    const Result result{.steps = counts_.step,
                        .train_flops = counts_.train_flops,
                        .num_examples = counts_.num_examples,
                        .num_input_tokens = counts_.num_input_tokens,
                        .num_target_tokens = counts_.num_target_tokens,
                        .wall_s = wall_s,
                        .final_loss = final_loss_,
                        .num_trained_parameters = selection_.num_trained()};
    const auto add_state = [&](const std::string& folder) {
      if (config_.keeps_optimizer_state)
        save_optimizer_state(folder, *optimizer_, config_.optimizer.name,
                             first_step_ + counts_.step);
    };
    folder_.save_finished(loaded_, result, add_state);
    return result;
  }

  model::LoadedModel& loaded_;
  const Config& config_;
  const Job& job_;
  const StageFolder& folder_;
  const Selection& selection_;
  const Budget budget_;
  const Clock::time_point start_ = Clock::now();
  double earlier_wall_s_ = 0;  // of this run's earlier processes
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<data::Prefetcher> batches_;
  std::unique_ptr<LineAppender> metrics_;
  int64_t first_step_ = 0;  // updates that the optimizer made in earlier stages
  Counts counts_;
  data::Cursor cursor_;
  Window window_;
  ExpertStatistics experts_;
  double loss_ = 0, final_loss_ = 0;
  int64_t num_timed_steps_ = 0;   // of this process
  double later_data_wait_s_ = 0;  // of all of them but the first
};

}  // namespace

Result train(model::LoadedModel& loaded, const Config& config, const Job& job) {
  check_job(job);
  validate(config, "train");
  const Selection selection(loaded.model->parameters(), config);
  const StageFolder folder(job, make_identity(*loaded.model, config, job));
  if (job.resumes) {
    if (const auto finished = folder.load_finished(loaded)) {
      log::info("[train] {} is finished already", folder.model_path());
      return *finished;
    }
  }
  return Loop(loaded, config, job, folder, selection).run();
}

}  // namespace flanmoe::train
