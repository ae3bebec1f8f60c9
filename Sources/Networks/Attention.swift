/// Multi-head attention, one image and head at a time, so that its scores stay in cache.
///
/// Heads are windows of the fused product `[images * tokens, 3 * width]`: queries, keys, values, each head's columns
/// side by side. B images of T tokens, H heads, Q queries an image: T, or 1 where only the class token is wanted.
import Numerics

/// The sizes that the windows follow from.
struct AttentionShape {
  let images: Int
  let tokens: Int
  let queries: Int
  let heads: Int
  let width: Int

  var headWidth: Int { width / heads }

  /// Scores are divided by the root of the head's width.
  var scale: Float { 1 / Float(headWidth).squareRoot() }

  /// Without padding.
  var allTokens: Range<Int> { 0..<tokens }

  /// Zeros where no token is, so that a sum over tokens may go over all columns.
  func clearPadding(_ scores: Factor) {
    if scores.columns > tokens { clear(scores.columns(tokens..<scores.columns)) }
  }

  func query(_ qkv: Factor, image: Int, head: Int) -> Factor { window(qkv, image, head, rows: queries, part: 0) }
  func key(_ qkv: Factor, image: Int, head: Int) -> Factor { window(qkv, image, head, rows: tokens, part: 1) }
  func value(_ qkv: Factor, image: Int, head: Int) -> Factor { window(qkv, image, head, rows: tokens, part: 2) }

  private func window(_ qkv: Factor, _ image: Int, _ head: Int, rows: Int, part: Int) -> Factor {
    qkv.buffer.factor(
      at: qkv.offset + image * tokens * qkv.stride + part * width + head * headWidth, rows: rows, columns: headWidth,
      stride: qkv.stride, precision: qkv.precision)
  }

  /// What a head reads or writes of the `[B·Q, width]` results.
  func result(_ mixed: Factor, image: Int, head: Int) -> Factor {
    mixed.buffer.factor(
      at: mixed.offset + image * queries * mixed.stride + head * headWidth, rows: queries, columns: headWidth,
      stride: mixed.stride, precision: mixed.precision)
  }

  /// `[Q, P]` of the `[B·H·Q, P]` probabilities.
  func probabilities(_ probabilities: Factor, image: Int, head: Int) -> Factor {
    let first = (image * heads + head) * queries
    return probabilities.rows(first..<first + queries)
  }
}

/// Mixes each image's values by softmax(Q Kᵀ / √width).
///
/// - Parameters:
///   - qkv: `[B·T, 3·width]`: queries, keys and values; in fp32 without bias before, with it afterwards.
///   - bias: `[3·width]`: in fp32 it is added while an image's rows are at hand. In bf16 it is there already.
///   - scratch: its scores are not used in fp32, where they are in the probabilities' place.
///   - mixed: `[B·Q, width]`, overwritten.
///   - probabilities: `[B·H·Q, P]` for `attentionBackward`, or `[Q, P]` where nothing is kept: P is T, padded as
///     `AttentionScratch` says.
func attention(
  _ qkv: Factor, bias: Vector, shape: AttentionShape, _ scratch: AttentionScratch, into mixed: Factor,
  probabilities: Factor, keeps: Bool
) {
  for image in 0..<shape.images {
    if let product = qkv.floats { add(bias, to: product, of: image, shape) }
    for head in 0..<shape.heads {
      let p = keeps ? shape.probabilities(probabilities, image: image, head: head) : probabilities
      let scores = p.floats ?? scratch.scores.rows(0..<shape.queries)
      let query = scratch.factor(.query, shape.query(qkv, image: image, head: head))
      let key = scratch.factor(.key, shape.key(qkv, image: image, head: head), isPadded: true)
      let value = scratch.factor(.value, shape.value(qkv, image: image, head: head), isPadded: true)
      multiply(query, .asIs, key, .transposed, into: scores)
      softmaxRows(scores.columns(shape.allTokens), scale: shape.scale, into: p.columns(shape.allTokens))
      shape.clearPadding(p)
      scratch.write(shape.result(mixed, image: image, head: head)) { multiply(p, .asIs, value, .asIs, into: $0) }
    }
  }
}

/// Adds the bias to an image's queries, keys and values; of the queries only to the first Q.
private func add(_ bias: Vector, to qkv: Matrix, of image: Int, _ shape: AttentionShape) {
  let (width, first) = (shape.width, image * shape.tokens)
  let queries = qkv.rows(first..<first + shape.queries).columns(0..<width)
  let rest = qkv.rows(first..<first + shape.tokens).columns(width..<3 * width)
  addRow(bias.vector(at: 0, count: width), toRowsOf: queries)
  addRow(bias.vector(at: width, count: 2 * width), toRowsOf: rest)
}

/// The gradient of `attention` with respect to queries, keys and values.
///
/// - Parameters:
///   - qkv: with its bias, as `attention` left it.
///   - probabilities: `[B·H·Q, P]`, kept by `attention`.
///   - mixedGradient: `[B·Q, width]`.
///   - gradient: `[B·T, 3·width]`, overwritten; of the queries only the first Q rows of each image.
func attentionBackward(
  _ qkv: Factor, probabilities: Factor, shape: AttentionShape, mixedGradient: Factor, _ scratch: AttentionScratch,
  into gradient: Factor
) {
  let pGradient = scratch.scores.rows(0..<shape.queries)
  let scoresGradient = pGradient.factor(in: qkv.precision)
  for image in 0..<shape.images {
    for head in 0..<shape.heads {
      let p = shape.probabilities(probabilities, image: image, head: head)
      let dMixed = scratch.factor(.mixed, shape.result(mixedGradient, image: image, head: head))
      let query = scratch.factor(.query, shape.query(qkv, image: image, head: head))
      let key = scratch.factor(.key, shape.key(qkv, image: image, head: head), isPadded: true)
      let value = scratch.factor(.value, shape.value(qkv, image: image, head: head), isPadded: true)
      scratch.write(shape.value(gradient, image: image, head: head), isPadded: true) {
        multiply(p, .transposed, dMixed, .asIs, into: $0)
      }
      multiply(dMixed, .asIs, value, .transposed, into: pGradient)
      softmaxBackward(
        p.columns(shape.allTokens), gradient: pGradient.columns(shape.allTokens), scale: shape.scale,
        into: scoresGradient.columns(shape.allTokens))
      shape.clearPadding(scoresGradient)
      scratch.write(shape.query(gradient, image: image, head: head)) {
        multiply(scoresGradient, .asIs, key, .asIs, into: $0)
      }
      scratch.write(shape.key(gradient, image: image, head: head), isPadded: true) {
        multiply(scoresGradient, .transposed, query, .asIs, into: $0)
      }
    }
  }
}
