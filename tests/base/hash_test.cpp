#include "base/hash.h"

#include <set>

#include "support/expect_error.h"
#include "support/temporary_folder.h"

namespace flanmoe {
namespace {

TEST(Hash, IsTheXxh3ThatOthersCompute) {
  // xxhsum -H2 of the same bytes.
  EXPECT_EQ(hash_text(""), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(hash_text("flanmoe"), "4ad4d9125888efdabfe08676c0b7f4a2");
}

TEST(Hash, DoesNotDependOnHowTheBytesArrive) {
  const std::string text(100000, 'x');
  Hasher one_by_one;
  for (const char c : text) one_by_one.add({&c, 1});
  EXPECT_EQ(one_by_one.hex(), hash_text(text));
  EXPECT_EQ(one_by_one.hex(), hash_text(text)) << "reading the hash must not change it";
  EXPECT_NE(one_by_one.add("y").hex(), hash_text(text));
}

TEST(Hash, OfAFileIsThatOfItsContent) {
  TemporaryFolder folder;
  const std::string content(3000000, 'z');
  put_file(folder / "a.bin", content);
  EXPECT_EQ(hash_file(folder / "a.bin"), hash_text(content));
  EXPECT_EQ(hash_path(folder / "a.bin"), hash_text(content));
  EXPECT_CONTAINS(error_of(ErrorCode::NotFound, [&] { hash_path(folder / "b.bin"); }), "b.bin");
}

TEST(Hash, OfAFolderSeesNamesContentsAndTheirBorders) {
  TemporaryFolder folder;
  std::set<std::string> hashes;
  const auto add = [&](const std::string& name,
                       const std::vector<std::pair<std::string, std::string>>& files) {
    for (const auto& [file, content] : files) put_file(folder / name + "/" + file, content);
    hashes.insert(hash_path(folder / name));
  };
  add("a", {{"x", "1"}, {"y", "2"}});
  add("b", {{"x", "1"}, {"y", "3"}});
  add("c", {{"x", "1"}, {"z", "2"}});
  add("d", {{"x", "12"}, {"y", ""}});
  add("e", {{"sub/x", "1"}, {"y", "2"}});
  add("f", {{"x", "1"}});
  add("g", {{"x" + hash_text("1") + "y", "2"}});
  EXPECT_EQ(hashes.size(), 7u);
  add("same_as_a", {{"y", "2"}, {"x", "1"}});
  EXPECT_EQ(hashes.size(), 7u) << "neither the folder's own name nor the order of writing counts";
  EXPECT_EQ(hash_path(folder / "a"), hash_path(folder / "a/"));
}

}  // namespace
}  // namespace flanmoe
