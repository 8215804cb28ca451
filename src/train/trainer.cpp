#include "train/trainer.h"

#include <cmath>

#include "base/clock.h"
#include "base/file.h"
#include "base/interrupt.h"
#include "base/json.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/progress.h"
#include "data/prefetch.h"
#include "train/budget.h"
#include "train/checkpoints/checkpoint_writer.h"
#include "train/divergence.h"
#include "train/expert_statistics.h"
#include "train/gradients.h"
#include "train/matmul_rate.h"
#include "train/metrics.h"
#include "train/monitor.h"
#include "train/optimizer_state.h"
#include "train/parameter_sets.h"
#include "train/schedule.h"
#include "train/sinks/metric_log.h"
#include "train/stage_folder.h"
#include "train/stage_progress.h"
#include "train/step.h"
#include "train/stochastic_rounding.h"

namespace flanmoe::train {
namespace {

void check_job(const Config& config, const Job& job) {
  if (job.out.empty()) fail(ErrorCode::InvalidArgument, "[train] no output folder");
  if (!job.draw) fail(ErrorCode::InvalidArgument, "[train] no data");
  if (config.evaluate_every > 0 && !job.evaluate)
    fail(ErrorCode::InvalidArgument,
         "[train] evaluate_every is {}, but there is nothing to evaluate on",
         config.evaluate_every);
}

// Steps with fewer FLOPs are over long before the plain matmul rate would be measured.
constexpr double kMinFlopsOfMeasuredStep = 1e9;

class Loop {
 public:
  Loop(const model::LoadedModel& loaded, const Config& config, const Job& job,
       const StageFolder& folder, const Selection& selection)
      : loaded_(loaded),
        config_(config),
        job_(job),
        folder_(folder),
        selection_(selection),
        budget_(config),
        monitor_(config.monitor, config.patience),
        progress_(budget_, job.label),
        optimizer_(make_optimizer(selection.trained(), config.optimizer,
                                  {.seed = static_cast<uint64_t>(config.seed)})),
        checkpoints_(folder, *optimizer_, config) {}

  Result run() {
    release_free_memory();  // what loading took beside the model
    reset_peak_memory();
    resume();
    describe();
    clear_gradients(loaded_.model->parameters());
    clear_gradients(selection_.trained());
    set_gradient_dtypes(selection_.trained(), config_);
    evaluate_if_due();  // which an interrupt may have put off
    while (!ended_by(counts_)) {
      run_step();
      if (job_.after_step) job_.after_step(counts_.step);
      evaluate_if_due();
      if (is_interrupted() && (is_evaluation_due() || !ended_by(counts_))) stop();
      checkpoints_.check();
      if (is_checkpoint_due() && !ended_by(counts_)) save();
    }
    evaluate_if_due();  // where the clock ran out behind the last step
    return finish(wall_s());
  }

 private:
  double wall_s() const { return earlier_wall_s_ + seconds_since(start_); }
  std::optional<EndedBy> ended_by(const Counts& counts) const {
    if (const auto spent = budget_.spent(counts, wall_s())) return spent;
    if (monitor_.is_exhausted() && !is_evaluation_due()) return EndedBy::Patience;
    return std::nullopt;
  }
  bool is_checkpoint_due() const {
    return (config_.checkpoint_every > 0 && counts_.step % config_.checkpoint_every == 0) ||
           (config_.checkpoint_every_s > 0 && !checkpoints_.is_writing() &&
            seconds_since(last_checkpoint_) >= config_.checkpoint_every_s);
  }
  // Every evaluate_every steps, and when the budget is spent.
  bool is_evaluation_due() const {
    return config_.evaluate_every > 0 && counts_.step > 0 && monitor_.last_step() != counts_.step &&
           (counts_.step % config_.evaluate_every == 0 ||
            budget_.spent(counts_, wall_s()).has_value());
  }

  std::string where() const { return budget_.describe(counts_, wall_s()); }

  void resume() {
    int64_t metrics_bytes = 0;
    if (config_.starts_from_optimizer_state) {
      const TrainedWeights& weights = folder_.weights();
      first_step_ = load_optimizer_step(weights.source_folder(), config_.optimizer.name);
      load_optimizer_state(weights.source_folder(), weights.parameters(), *optimizer_);
    }
    if (job_.resumes) {
      if (const auto progressed = folder_.load_checkpoint(*optimizer_)) {
        counts_ = progressed->counts;
        cursor_ = progressed->cursor;
        window_ = Window::parse(progressed->window);
        experts_.restore(progressed->experts);
        metrics_bytes = progressed->metrics_bytes;
        final_loss_ = progressed->extra.at("final_loss");
        earlier_wall_s_ = progressed->extra.at("wall_s");
        num_skipped_in_a_row_ = progressed->extra.at("num_skipped_in_a_row");
        monitor_.restore(progressed->extra.at("monitor"));
        log::info("[train] resumed at step {} ({})", where(),
                  folder_.checkpoints().path(counts_.step));
      }
    }
    metrics_ = std::make_unique<MetricLog>(job_.out, metrics_bytes, config_.writes_tensorboard);
    data::BatchStream stream(make_draw(), config_.batch, static_cast<uint64_t>(config_.seed));
    stream.seek(cursor_);
    batches_ = std::make_unique<data::Prefetcher>(std::move(stream));
  }

  // Inputs stand behind the virtual tokens of the adapter's prompt.
  std::function<data::TokenizedExample(uint64_t)> make_draw() const {
    const model::Model& model = *loaded_.model;
    const std::optional<int64_t> active = model.active_adapter();
    const int64_t count = active ? model.num_virtual_tokens(*active) : 0;
    if (count == 0) return job_.draw;
    return [draw = job_.draw, config = model.config(), count](uint64_t position) {
      data::TokenizedExample example = draw(position);
      model::prepend_virtual_tokens(example.inputs, config, count);
      return example;
    };
  }

  void describe() const {
    const int64_t num_total = nn::num_elements(folder_.weights().parameters()) +
                              nn::num_elements(folder_.weights().fixed());
    const bool is_packed = config_.batch.packing != data::Packing::None;
    log::info("[train] {} parameters, {} of them trained; {} of {} {}; {}, {}, seed {}",
              format_count(static_cast<double>(num_total)),
              format_count(static_cast<double>(selection_.num_trained())), budget_.describe(),
              config_.batch.batch_size, is_packed ? "packed rows" : "examples",
              config_.optimizer.name, to_string(config_.precision), config_.seed);
    log::info("[train] {}", selection_.summary());
  }

  void run_step() {
    auto start = Clock::now();
    const data::Prefetcher::Item item = batches_->next();
    const Counts of_step = count_batch(item.batch, *loaded_.model);
    if (num_timed_steps_ == 0 && of_step.train_flops >= kMinFlopsOfMeasuredStep) {
      matmul_flops_per_s_ = measure_matmul_rate(
          make_training_context(config_, counts_.step).compute_dtype, loaded_.model->device());
      start = Clock::now();
    }
    Counts after = counts_;
    after.add(of_step);
    const bool is_logged = after.step % config_.log_every == 0 || ended_by(after);
    const double learning_rate = learning_rate_at(
        {.step = after.step, .fraction = budget_.fraction(counts_, wall_s())}, config_);

    StepValues values = update(item.batch, after.step, learning_rate, is_logged);
    const bool is_skipped = values.empty();
    if (!is_skipped) loss_ = values.front().second;
    after.num_skipped_steps += is_skipped ? 1 : 0;
    num_skipped_in_a_row_ = is_skipped ? num_skipped_in_a_row_ + 1 : 0;
    values.emplace_back("input_fill", item.batch.statistics.input_fill());
    values.emplace_back("target_fill", item.batch.statistics.target_fill());
    values.emplace_back("closing_fill", item.batch.statistics.closing_fill());

    counts_ = after;
    cursor_ = item.next;
    if (num_timed_steps_++ > 0) later_data_wait_s_ += item.wait_s;
    experts_.watch(counts_.step);
    window_.add(values);
    const double seconds = seconds_since(start);
    window_.add_seconds(seconds, item.wait_s, of_step);
    if (is_logged) write_metrics(learning_rate);
    progress_.update(counts_, budget_.fraction(counts_, wall_s()), of_step, seconds, loss_,
                     matmul_flops_per_s_);
  }

  // Forward, backward and the optimizer's update. The losses and gradient_norm; nothing where the
  // step is skipped.
  StepValues update(const data::Batch& batch, int64_t step, double learning_rate, bool is_logged) {
    const model::Model& model = *loaded_.model;
    nn::Context context = make_training_context(config_, step);
    if (model.config().is_sparse()) context.routing_sink = &experts_;
    experts_.begin_step(is_logged);
    StepValues values = compute_gradients(model, batch, config_, context);
    const double loss = values.front().second,
                 norm = std::isfinite(loss) ? compute_gradient_norm(selection_.trained()) : loss;
    if (!std::isfinite(norm)) {
      handle_divergence({config_, step, first_step_ + step, learning_rate, batch}, loss);
      return {};
    }
    values.emplace_back("gradient_norm", norm);
    warn_about_missing_gradients(step);
    optimizer_->step(first_step_ + step, learning_rate,
                     compute_clip_scale(norm, config_.max_gradient_norm));
    clear_gradients(selection_.trained());
    return values;
  }

  // Returns where the step is to be skipped.
  void handle_divergence(const Replay& replay, double loss) {
    const Divergence divergence = diagnose(*loaded_.model, selection_.trained(), replay, loss);
    clear_gradients(selection_.trained());
    std::string text = train::describe(divergence, replay.batch);
    if (config_.on_non_finite == OnNonFinite::Skip) {
      if (num_skipped_in_a_row_ + 1 < kMaxSkippedInARow) {
        log::warn("[train] {}; the step is skipped", text);
        return;
      }
      text += fmt::format("; it is the {}th step in a row", kMaxSkippedInARow);
    }
    const std::string folder = fmt::format("{}/divergence/step-{}", job_.out, replay.step);
    try {
      save_replay(folder, folder_.weights(), *optimizer_, replay, divergence);
    } catch (const Error& error) {
      fail(ErrorCode::NonFinite, "[train] {}; it could not be saved for replay: {}", text,
           error.what());
    }
    fail(ErrorCode::NonFinite, "[train] {}; run it again with: flanmoe replay {}", text, folder);
  }

  void evaluate_if_due() {
    if (!is_evaluation_due() || is_interrupted()) return;
    EvaluationValues values;
    try {
      values = job_.evaluate(counts_.step);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::Interrupted) throw;
      stop();  // the evaluation is made when the run goes on
    }
    const bool is_best = monitor_.add(counts_.step, values);
    metrics_->write(Json{{"step", counts_.step}, {"evaluation", values}});
    std::string text;
    for (const auto& [name, value] : values) text += fmt::format(", {} {:.4f}", name, value);
    log::info("[train] step {}{}{}", counts_.step, text, is_best ? " (best)" : "");
    if (is_best && config_.keeps_best) checkpoints_.save_best(counts_.step, values);
  }

  [[noreturn]] void stop() {
    checkpoints_.save_now(progressed());
    fail(ErrorCode::Interrupted, "[train] stopped at step {}; continue with --resume", where());
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
    line["machine"] = window_.machine(matmul_flops_per_s_);
    metrics_->write(line);
    if (window_.has("loss")) final_loss_ = window_.mean("loss");
    window_.clear();
    last_learning_rate_ = learning_rate;
  }

  Progressed progressed() const {
    Progressed progressed{counts_, cursor_, metrics_->size_bytes(), window_.to_json(),
                          experts_.to_json()};
    if (config_.keeps_best) progressed.best_step = monitor_.best_step();
    progressed.extra = {{"final_loss", final_loss_},
                        {"wall_s", wall_s()},
                        {"num_skipped_in_a_row", num_skipped_in_a_row_},
                        {"monitor", monitor_.to_json()}};
    return progressed;
  }

  void save() {
    const double wait_s = checkpoints_.save(progressed());
    last_checkpoint_ = Clock::now();
    window_.add_checkpoint_wait(wait_s);
    checkpoint_wait_s_ += wait_s;
    ++num_checkpoints_;
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
    if (num_checkpoints_ > 0)
      log::info("[train] waited {:.2g} s a checkpoint, {} of them",
                checkpoint_wait_s_ / static_cast<double>(num_checkpoints_), num_checkpoints_);
    if (!window_.is_empty()) write_metrics(last_learning_rate_);  // ended by the clock or patience
    const EndedBy ended = *ended_by(counts_);
    log::info("[train] ended by {} at step {}", to_string(ended), where());
    const bool takes_best = config_.keeps_best && monitor_.best_step() > 0;
    if (takes_best && monitor_.best_step() != counts_.step) {
      checkpoints_.wait();
      folder_.load_best(monitor_.best_step());
      log::info("[train] the model is that of step {}, whose {} is the best: {:.4f}",
                monitor_.best_step(), config_.monitor, monitor_.best_value());
    }
    const Result result{.steps = counts_.step,
                        .train_flops = counts_.train_flops,
                        .num_examples = counts_.num_examples,
                        .num_input_tokens = counts_.num_input_tokens,
                        .num_target_tokens = counts_.num_target_tokens,
                        .wall_s = wall_s,
                        .final_loss = final_loss_,
                        .num_trained_parameters = selection_.num_trained(),
                        .num_skipped_steps = counts_.num_skipped_steps,
                        .ended_by = std::string(to_string(ended)),
                        .model_step = takes_best ? monitor_.best_step() : counts_.step,
                        .evaluation = takes_best ? monitor_.best_values() : monitor_.last_values(),
                        .peak_memory_bytes = peak_memory_bytes()};
    const auto add_state = [&](const std::string& folder) {
      if (config_.keeps_optimizer_state)
        save_optimizer_state(folder, *optimizer_, config_.optimizer.name,
                             first_step_ + counts_.step);
    };
    checkpoints_.wait_and_warn();
    folder_.save_finished(result, add_state);
    return result;
  }

  const model::LoadedModel& loaded_;
  const Config& config_;
  const Job& job_;
  const StageFolder& folder_;
  const Selection& selection_;
  const Budget budget_;
  Monitor monitor_;
  StageProgress progress_;
  const Clock::time_point start_ = Clock::now();
  double earlier_wall_s_ = 0;  // of this run's earlier processes
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<data::Prefetcher> batches_;
  std::unique_ptr<MetricLog> metrics_;
  int64_t first_step_ = 0;  // updates that the optimizer made in earlier stages
  Counts counts_;
  data::Cursor cursor_;
  Window window_;
  ExpertStatistics experts_;
  double loss_ = 0, final_loss_ = 0, last_learning_rate_ = 0;
  double matmul_flops_per_s_ = 0;  // 0: not measured
  int64_t num_skipped_in_a_row_ = 0;
  int64_t num_timed_steps_ = 0;   // of this process
  double later_data_wait_s_ = 0;  // of all of them but the first
  Clock::time_point last_checkpoint_ = Clock::now();
  int64_t num_checkpoints_ = 0;  // of this process
  double checkpoint_wait_s_ = 0;
  CheckpointWriter checkpoints_;  // last: it reads the others
};

}  // namespace

Result train(const model::LoadedModel& loaded, const Config& config, const Job& job) {
  validate(config, "train");
  check_job(config, job);
  check_parameter_dtype(*loaded.model, config);
  const auto weights = make_trained_weights(loaded);
  const Selection selection(weights->parameters(), config, weights->fixed());
  const FolderLock lock(job.out);
  const StageFolder folder(job, *weights, make_identity(*loaded.model, *weights, config, job));
  if (job.resumes) {
    if (const auto finished = folder.load_finished()) {
      log::info("[train] {} is finished already", folder.finished_path());
      return *finished;
    }
  }
  return Loop(loaded, config, job, folder, selection).run();
}

}  // namespace flanmoe::train
