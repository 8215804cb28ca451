// What a cluster's file says about each of its tasks; builtin.cpp turns that into examples.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/random.h"

namespace flanmoe::data::builtin {

// The content of one example before a template is put around it.
struct Draft {
  std::map<std::string, std::string> fields;
  std::vector<std::string> choices;  // empty: free answer
  std::string answer;
  // What makes it this instance: its hash decides the split. Two drafts that differ only in the
  // order of options have the same identity.
  std::string identity;
};

struct TaskDefinition {
  std::string name;
  std::string cluster;
  std::string description;
  bool is_easy;
  int64_t num_choices;   // 0: free answer
  uint64_t num_classes;  // answer classes, drawn uniformly before the content, so that answers are
                         // balanced in both splits
  Draft (*draw)(RandomStream& random, uint64_t answer_class);
  std::vector<std::string> templates;
  std::vector<std::string> unseen_templates;
};

std::vector<TaskDefinition> make_topics_tasks();
std::vector<TaskDefinition> make_sentiment_tasks();
std::vector<TaskDefinition> make_inference_tasks();
std::vector<TaskDefinition> make_transform_tasks();
// The held-out cluster.
std::vector<TaskDefinition> make_reading_tasks();

}  // namespace flanmoe::data::builtin
