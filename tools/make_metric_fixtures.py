#!/usr/bin/env python3
"""Makes tests/eval/metrics/fixtures/<metric>.json: random cases (fixed seed) and their values by well-known Python implementations.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install 'transformers<5' sacrebleu rouge-score scikit-learn scipy rapidfuzz
    /tmp/venv/bin/python tools/make_metric_fixtures.py [FOLDER]

The values of one file: "reference" names the implementation with its version, "cases" are lists of examples [answer, references] with
"value" over all of them and, where an example has a value of its own, "values". Metrics that are means have one example a case."""
import json
import math
import pathlib
import random
import re
import string
import sys
import warnings
from importlib.metadata import version

from rapidfuzz.distance import Levenshtein
from rouge_score import rouge_scorer
from sacrebleu.metrics import BLEU, CHRF
from scipy import stats
from sklearn.metrics import f1_score, matthews_corrcoef
from transformers.data.metrics import squad_metrics

FOLDER = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent / "tests/eval/metrics/fixtures")
NUM_CASES = 240
rng = random.Random(20230524)

WORDS = """the The a an A AN the-end house houses river 42 3.5 1,234 1,234.56 7. $23 50% U.S. e.g. don't it's O'Brien well-known 10-20 2-
Paris New York (1998) [sic] "quoted" yes no Yes. ROUGE naïve café Äpfel ÄPFEL straße STRASSE Москва москва ответ — – … “so” ’s
東京 答えは 是 ५ ٣ İstanbul ΟΔΟΣ ﬁne \u212aelvin 😀 👩\u200d💻 e\u0301 \u00a0x <skipped> &quot;x&quot; &amp; &lt;b&gt; a_b x/y ... , . ; ! ?
an-a the: éa 5, ,5 .5 5.a a.5 - -- mid-\nline and\tthen \u3000wide \u2028sep of in was is are by to with for""".split(" ")
WORDS = [word for chunk in WORDS for word in chunk.split("\n") if word] + ["mid-\nline", "a\tb", "x\u00a0y", "x\u3000y", "x\u2028y", "\n"]


def text(most=12):
    if rng.random() < 0.06:
        return rng.choice(["", " ", "the", "a an the", ".", "..", "\n", "\u00a0"])
    words = rng.choices(WORDS, k=rng.randint(1, most))
    glue = rng.choice([" ", " ", " ", "  ", ", "])
    return glue.join(words) + rng.choice(["", "", "", ".", " ", "\n", "!"])


def noisy(original):
    """An answer that shares much with a reference."""
    roll = rng.random()
    if roll < 0.15:
        return original
    if roll < 0.25:
        return rng.choice([str.upper, str.lower, str.title])(original)
    if roll < 0.4:
        return text()
    words = original.split(" ")
    for _ in range(rng.randint(1, 3)):
        place = rng.randrange(len(words) + 1)
        change = rng.randrange(4)
        if change == 0:
            words.insert(place, rng.choice(WORDS))
        elif change == 1 and words:
            words.pop(min(place, len(words) - 1))
        elif change == 2 and words:
            words[min(place, len(words) - 1)] = rng.choice(WORDS)
        else:
            rng.shuffle(words)
    return " ".join(words)


def example():
    references = [text() for _ in range(rng.choice([1, 1, 1, 2, 3]))]
    if rng.random() < 0.2:
        references.append(noisy(references[0]))
    return noisy(rng.choice(references)), references


def write(metric, reference, cases):
    FOLDER.mkdir(parents=True, exist_ok=True)
    document = {"made_by": "tools/make_metric_fixtures.py", "metric": metric, "reference": reference}
    lines = ",\n  ".join(json.dumps(case, ensure_ascii=True) for case in cases)
    (FOLDER / f"{metric}.json").write_text(json.dumps(document)[:-1] + f', "cases": [\n  {lines}\n]}}\n')


def package(name):
    return f"{name} {version(name)}"


def write_mean(metric, reference, similarity):
    cases = []
    for _ in range(NUM_CASES):
        answer, references = example()
        value = max(similarity(answer, one) for one in references)
        cases.append({"examples": [[answer, references]], "value": float(value)})
    write(metric, reference, cases)


def squad_v1_f1(answer, reference):
    # v2.0 (transformers) takes two empty texts for right; v1.1 gives 0 where no token is shared
    if not squad_metrics.get_tokens(answer) and not squad_metrics.get_tokens(reference):
        return 0
    return squad_metrics.compute_f1(reference, answer)


def rouge(kind):
    scorer = rouge_scorer.RougeScorer([kind], use_stemmer=False)
    return lambda answer, reference: scorer.score(reference, answer)[kind].fmeasure


def write_corpora(metric, reference, corpus, sentence):
    cases = []
    for _ in range(NUM_CASES):
        examples = [example() for _ in range(rng.choice([1, 1, 2, 3, 4]))]
        answers = [answer for answer, _ in examples]
        most = max(len(references) for _, references in examples)
        streams = [[references[k] if k < len(references) else None for _, references in examples] for k in range(most)]
        cases.append({"examples": examples, "value": corpus.corpus_score(answers, streams).score / 100,
                      "values": [sentence.sentence_score(answer, references).score / 100 for answer, references in examples]})
    write(metric, reference, cases)


def write_labels(metric, reference, value):
    cases = []
    for _ in range(NUM_CASES):
        labels = rng.choice([["yes", "no"], ["entailment", "neutral", "contradiction"], ["(A)", "(B)", "(C)", "(D)"], ["0", "1"], ["été", "Été", "夏"]])
        skill = rng.random()
        examples = []
        for _ in range(rng.choice([1, 2, 5, 10, 30])):
            right = rng.choice(labels[:1] if rng.random() < 0.1 else labels)
            answer = right if rng.random() < skill else rng.choice(labels + ["", "maybe"])
            examples.append([rng.choice(["", " "]) + answer + rng.choice(["", "\n"]), [right]])
        cases.append({"examples": examples, "value": float(value([r[0] for _, r in examples], [a.strip() for a, _ in examples]))})
    write(metric, reference, cases)


def write_numbers(metric, reference, value):
    cases = []
    while len(cases) < NUM_CASES:
        num_examples, scale, shift = rng.choice([2, 3, 5, 10, 30]), rng.choice([1, 1, 5, 1e6, 1e-3]), rng.choice([0, 0, 3, 1e4])
        digits, noise = rng.choice([0, 1, 3]), rng.choice([0, 0.1, 1, 10])
        rights = [round(rng.gauss(shift, scale), digits) for _ in range(num_examples)]
        answers = [round(right * rng.choice([1, 1, -1]) + rng.gauss(0, noise * scale), digits) for right in rights]
        if len(set(rights)) < 2 or len(set(answers)) < 2:
            continue  # not defined
        form = rng.choice([repr, repr, lambda x: f" {x:+.6e}\n"])
        examples = [[form(answer), [repr(right)]] for answer, right in zip(answers, rights)]
        result = float(value([float(answer) for answer, _ in examples], rights))
        if math.isfinite(result):
            cases.append({"examples": examples, "value": result})
    write(metric, reference, cases)


def main():
    warnings.simplefilter("ignore")
    assert set(squad_metrics.string.punctuation) == set(string.punctuation)
    squad = package("transformers") + " (data/metrics/squad_metrics.py)"
    write_mean("squad_exact_match", squad, lambda answer, reference: squad_metrics.compute_exact(reference, answer))
    write_mean("f1", squad + ", with SQuAD v1.1's 0 for two empty texts", squad_v1_f1)
    for kind in ["rouge1", "rouge2", "rougeL"]:
        write_mean(kind, package("rouge-score"), rouge(kind))
    write_mean("edit_similarity", package("rapidfuzz"), Levenshtein.normalized_similarity)
    write_mean("accuracy", "Python " + sys.version.split()[0], lambda answer, reference: answer.strip() == reference.strip())
    lower = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
    normalise = lambda one: re.sub("[ \t-\r]+", " ", one.translate(lower)).strip(" ").rstrip(" .")
    write_mean("exact_match", "Python " + sys.version.split()[0], lambda answer, reference: normalise(answer) == normalise(reference))
    write_corpora("bleu", package("sacrebleu"), BLEU(), BLEU(effective_order=True))
    write_corpora("chrf", package("sacrebleu"), CHRF(), CHRF())
    write_corpora("chrf++", package("sacrebleu"), CHRF(word_order=2), CHRF(word_order=2))
    write_labels("matthews", package("scikit-learn"), matthews_corrcoef)
    write_labels("macro_f1", package("scikit-learn"), lambda rights, answers: f1_score(rights, answers, average="macro", zero_division=0))
    write_numbers("pearson", package("scipy"), lambda a, b: stats.pearsonr(a, b).statistic)
    write_numbers("spearman", package("scipy"), lambda a, b: stats.spearmanr(a, b).statistic)


main()
