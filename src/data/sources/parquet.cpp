// Parquet through Arrow C++, where the build has it (FLANMOE_HAS_ARROW).
#include "data/sources/format.h"

#ifdef FLANMOE_HAS_ARROW

#include <arrow/api.h>
#include <arrow/io/file.h>
#include <arrow/util/config.h>
#include <parquet/arrow/reader.h>

#include <cmath>

#include "base/json.h"
#include "base/utf8.h"

namespace flanmoe::data {
namespace {

[[noreturn]] void fail_arrow(const std::string& path, const arrow::Status& status) {
  fail(status.IsIOError()          ? ErrorCode::Io
       : status.IsNotImplemented() ? ErrorCode::Unsupported
                                   : ErrorCode::CorruptFile,
       "{}: [data] Parquet: {}", path, status.message());
}

template <class T>
T value_or_fail(arrow::Result<T> result, const std::string& path) {
  if (!result.ok()) fail_arrow(path, result.status());
  return std::move(result).ValueUnsafe();
}

Json text_value(std::string_view text, const std::string& column) {
  if (find_invalid_utf8(text) != std::string_view::npos)
    fail(ErrorCode::InvalidArgument, "column '{}' holds text that is not UTF-8", column);
  return std::string(text);
}

// One value of a column. Lists and structs become lists and objects; dates, decimals and the like
// their text.
Json to_json(const arrow::Array& array, int64_t row, const std::string& column) {
  using arrow::Type;
  if (array.IsNull(row)) return nullptr;
  const auto number = [&](const auto& values) -> Json { return values.Value(row); };
  const auto list = [&](const arrow::Array& values, int64_t begin, int64_t end) {
    Json result = Json::array();
    for (int64_t i = begin; i < end; ++i) result.push_back(to_json(values, i, column));
    return result;
  };
  switch (array.type_id()) {
    case Type::NA:
      return nullptr;
    case Type::BOOL:
      return static_cast<const arrow::BooleanArray&>(array).Value(row);
    case Type::INT8:
      return number(static_cast<const arrow::Int8Array&>(array));
    case Type::INT16:
      return number(static_cast<const arrow::Int16Array&>(array));
    case Type::INT32:
      return number(static_cast<const arrow::Int32Array&>(array));
    case Type::INT64:
      return number(static_cast<const arrow::Int64Array&>(array));
    case Type::UINT8:
      return number(static_cast<const arrow::UInt8Array&>(array));
    case Type::UINT16:
      return number(static_cast<const arrow::UInt16Array&>(array));
    case Type::UINT32:
      return number(static_cast<const arrow::UInt32Array&>(array));
    case Type::UINT64:
      return number(static_cast<const arrow::UInt64Array&>(array));
    case Type::FLOAT:
    case Type::DOUBLE: {
      const double value = array.type_id() == Type::FLOAT
                               ? static_cast<const arrow::FloatArray&>(array).Value(row)
                               : static_cast<const arrow::DoubleArray&>(array).Value(row);
      if (!std::isfinite(value)) return nullptr;  // JSON has no such number
      return value;
    }
    case Type::STRING:
    case Type::BINARY:
      return text_value(static_cast<const arrow::BinaryArray&>(array).GetView(row), column);
    case Type::LARGE_STRING:
    case Type::LARGE_BINARY:
      return text_value(static_cast<const arrow::LargeBinaryArray&>(array).GetView(row), column);
    case Type::DICTIONARY: {
      const auto& values = static_cast<const arrow::DictionaryArray&>(array);
      return to_json(*values.dictionary(), values.GetValueIndex(row), column);
    }
    case Type::LIST: {
      const auto& lists = static_cast<const arrow::ListArray&>(array);
      return list(*lists.values(), lists.value_offset(row), lists.value_offset(row + 1));
    }
    case Type::LARGE_LIST: {
      const auto& lists = static_cast<const arrow::LargeListArray&>(array);
      return list(*lists.values(), lists.value_offset(row), lists.value_offset(row + 1));
    }
    case Type::STRUCT: {
      const auto& fields = static_cast<const arrow::StructArray&>(array);
      Json result = Json::object();
      for (int i = 0; i < fields.num_fields(); ++i)
        result[fields.struct_type()->field(i)->name()] = to_json(*fields.field(i), row, column);
      return result;
    }
    default: {
      auto scalar = array.GetScalar(row);
      if (!scalar.ok())
        fail(ErrorCode::Unsupported, "column '{}' is of type {}, which is not read", column,
             array.type()->ToString());
      return text_value((*scalar)->ToString(), column);
    }
  }
}

class ParquetReader final : public RowReader {
 public:
  explicit ParquetReader(const std::string& path) : path_(path) {
    auto file = value_or_fail(arrow::io::ReadableFile::Open(path), path);
    parquet::arrow::FileReaderBuilder builder;
    if (const auto status = builder.Open(file); !status.ok()) fail_arrow(path, status);
    // One batch in memory, not a whole row group's columns.
    parquet::ArrowReaderProperties properties;
    properties.set_batch_size(1024);
    properties.set_use_threads(false);
    properties.set_pre_buffer(false);
    if (const auto status = builder.memory_pool(arrow::default_memory_pool())
                                ->properties(properties)
                                ->Build(&reader_);
        !status.ok())
      fail_arrow(path, status);
    batches_ = value_or_fail(reader_->GetRecordBatchReader(), path);
    for (const auto& field : batches_->schema()->fields()) columns_.push_back(field->name());
  }

  std::vector<std::string> columns() const override { return columns_; }

  bool next(Row& row) override {
    while (!batch_ || at_ == batch_->num_rows()) {
      if (const auto status = batches_->ReadNext(&batch_); !status.ok()) fail_arrow(path_, status);
      at_ = 0;
      if (!batch_) return false;
    }
    row.line = ++num_read_;
    row.error.reset();
    Json columns = Json::object();
    try {
      for (int i = 0; i < batch_->num_columns(); ++i) {
        const std::string& name = columns_[static_cast<size_t>(i)];
        columns[name] = to_json(*batch_->column(i), at_, name);
      }
      row.columns = std::move(columns);
    } catch (const Error& error) {
      if (error.code() == ErrorCode::Unsupported) throw;
      row.error =
          Error(error.code(), fmt::format("{}:{}: [data] {}", path_, row.line, error.what()));
    }
    ++at_;
    return true;
  }

 private:
  std::string path_;
  std::unique_ptr<parquet::arrow::FileReader> reader_;
  std::unique_ptr<arrow::RecordBatchReader> batches_;
  std::shared_ptr<arrow::RecordBatch> batch_;
  std::vector<std::string> columns_;
  int64_t at_ = 0, num_read_ = 0;
};

}  // namespace

std::unique_ptr<RowReader> open_parquet(const std::string& path) {
  return std::make_unique<ParquetReader>(path);
}

std::string arrow_version() {
  return ARROW_VERSION_STRING;
}

}  // namespace flanmoe::data

#else

namespace flanmoe::data {

std::unique_ptr<RowReader> open_parquet(const std::string& path) {
  fail(ErrorCode::Unsupported,
       "[data] {} is a Parquet file and this build has no Arrow: run FLANMOE_WITH_PARQUET=1 "
       "tools/setup and build again, or convert the file to JSONL",
       path);
}

std::string arrow_version() {
  return "";
}

}  // namespace flanmoe::data

#endif
