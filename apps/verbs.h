// One thin file a verb. Each adds its options to `app` and returns what to run when it was called.
#pragma once

#include <functional>

#include "options.h"

namespace flanmoe::apps {

using Verb = std::function<void()>;

Verb add_run(Options options);
Verb add_upcycle(Options options);
Verb add_average(Options options);
Verb add_merge(Options options);
Verb add_train(Options options);
Verb add_replay(Options options);
Verb add_data(Options options);
Verb add_eval(Options options);
Verb add_score(Options options);
Verb add_generate(Options options);
Verb add_inspect(Options options);
Verb add_tokenize(Options options);
Verb add_report(Options options);
Verb add_bench(Options options);
Verb add_doctor(Options options);

}  // namespace flanmoe::apps
