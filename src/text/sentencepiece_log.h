// SentencePiece prints to stderr by itself; a library must not.
#pragma once

namespace flanmoe::text {

// Cheap and safe to call again. Call before anything of SentencePiece.
void silence_sentencepiece();

}  // namespace flanmoe::text
