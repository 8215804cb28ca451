// From the row of a file to an example: the schema's keys, the field map, the raw columns.
#pragma once

#include <string>
#include <vector>

#include "data/source.h"
#include "data/sources/format.h"

namespace flanmoe::data {

class RowMapper {
 public:
  // Throws InvalidConfig where the field map names a key that is none, or a column that the file
  // does not have.
  RowMapper(const SourceConfig& config, const Format& format, const RowReader& file,
            const std::string& path);
  // Throws InvalidArgument naming `where`, the column and those that exist. What the file's rows
  // have in common is not in it: see has_own_fields().
  Example map(Json&& columns, const std::string& where) const;
  // With a field map the fields and the prefix of FileTraits are in every example already.
  bool includes_traits() const { return includes_traits_; }

 private:
  void apply(const std::string& key, const std::string& column, const Json& columns, Json& line,
             const std::string& where) const;

  const SourceConfig& config_;
  FileTraits traits_;
  bool is_text_;
  bool includes_traits_;
};

// A column, or with dots a value inside one ("answers.text.0"); null where there is none.
const Json* find_column(const Json& columns, const std::string& name);

}  // namespace flanmoe::data
