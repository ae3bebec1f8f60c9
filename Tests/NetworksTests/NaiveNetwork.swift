import Foundation
import Networks

/// The network of docs and papers, in Double, with loops and nothing else: what the fast one is held against.
///
/// Every image computes every branch (a dropped one is multiplied with 0) and every token.
struct NaiveNetwork {
  let architecture: NetworkArchitecture
  let layout: ParameterLayout
  var parameters: [Double]
  private let offsets: [String: Int]

  init(_ architecture: NetworkArchitecture, parameters: [Float]) {
    self.architecture = architecture
    layout = ParameterLayout(architecture)
    self.parameters = parameters.map(Double.init)
    offsets = Dictionary(uniqueKeysWithValues: layout.tensors.map { ($0.name, $0.range.lowerBound) })
  }

  typealias Rows = [[Double]]

  /// - Parameters:
  ///   - pixels: a picture's `[3, side, side]` each.
  ///   - scales: `[branch][image]` of stochastic depth.
  func features(_ pixels: Rows, side: Int, scales: Rows) -> Rows {
    pixels.indices.map { image in
      features(pixels[image], side: side, scales: scales.map { $0[image] })
    }
  }

  func embeddings(_ features: Rows) -> Rows {
    let names = architecture.useBNInHead ? [0, 3, 6] : [0, 2, 4]
    var x = features
    for layer in 0..<3 {
      x = x.map { linear($0, "head.mlp.\(names[layer])") }
      if layer == 2 { break }
      if architecture.useBNInHead { x = batchNorm(x, "head.mlp.\(names[layer] + 1)") }
      x = x.map { $0.map(gelu) }
    }
    return x.map { row in
      let norm = max(row.reduce(0) { $0 + $1 * $1 }.squareRoot(), 1e-6)
      return row.map { $0 / norm }
    }
  }

  private func features(_ pixels: [Double], side: Int, scales: [Double]) -> [Double] {
    let tokens = passed(embed(pixels, side: side), blocks: 0..<architecture.depth, scales: scales)
    if !architecture.useMeanPooling { return layerNorm(tokens[0], "backbone.norm") }
    let patches = tokens[(1 + architecture.registers)...]
    let mean = tokens[0].indices.map { i in patches.reduce(0) { $0 + $1[i] } / Double(patches.count) }
    return layerNorm(mean, "backbone.fc_norm")
  }

  private func passed(_ tokens: Rows, blocks: Range<Int>, scales: [Double]) -> Rows {
    var tokens = tokens
    for block in blocks {
      let prefix = "backbone.blocks.\(block)"
      let attended = attention(tokens.map { layerNorm($0, "\(prefix).norm1") }, prefix)
      for t in tokens.indices {
        for i in tokens[t].indices {
          tokens[t][i] += scales[2 * block] * gamma("\(prefix).ls1", i) * attended[t][i]
        }
        let hidden = linear(layerNorm(tokens[t], "\(prefix).norm2"), "\(prefix).mlp.fc1").map(gelu)
        let thought = linear(hidden, "\(prefix).mlp.fc2")
        for i in tokens[t].indices {
          tokens[t][i] += scales[2 * block + 1] * gamma("\(prefix).ls2", i) * thought[i]
        }
      }
    }
    return tokens
  }

  private func embed(_ pixels: [Double], side: Int) -> Rows {
    let (patch, width) = (architecture.patchSize, architecture.embedDim)
    let (weight, bias) = (offset("backbone.patch_embed.proj.weight"), offset("backbone.patch_embed.proj.bias"))
    let (cls, position) = (offset("backbone.cls_token"), offset("backbone.pos_embed"))
    let across = side / patch
    var tokens = [(0..<width).map { parameters[cls + $0] + parameters[position + $0] }]
    for register in 0..<architecture.registers {
      tokens.append((0..<width).map { parameters[offset("backbone.reg_token") + register * width + $0] })
    }
    for y in 0..<across {
      for x in 0..<across {
        var token = positionEmbedding(y: y, x: x, across: across)
        for i in 0..<width {
          token[i] += parameters[bias + i]
          for c in 0..<3 {
            for dy in 0..<patch {
              for dx in 0..<patch {
                token[i] +=
                  parameters[weight + ((i * 3 + c) * patch + dy) * patch + dx]
                  * pixels[(c * side + y * patch + dy) * side + x * patch + dx]
              }
            }
          }
        }
        tokens.append(token)
      }
    }
    return tokens
  }

  /// The trained embeddings sampled at this patch's place by the cubic kernel.
  private func positionEmbedding(y: Int, x: Int, across: Int) -> [Double] {
    let (width, trained) = (architecture.embedDim, architecture.imageSize / architecture.patchSize)
    let first = offset("backbone.pos_embed") + width
    if across == trained { return (0..<width).map { parameters[first + (y * trained + x) * width + $0] } }
    func place(_ index: Int) -> Double { (Double(index) + 0.5) * Double(trained) / (Double(across) + 0.1) - 0.5 }
    func kernel(_ distance: Double) -> Double {
      let (d, a) = (abs(distance), -0.75)
      if d < 1 { return (a + 2) * d * d * d - (a + 3) * d * d + 1 }
      return d < 2 ? a * (d * d * d - 5 * d * d + 8 * d - 4) : 0
    }
    var result = [Double](repeating: 0, count: width)
    for row in -3..<trained + 3 {
      for column in -3..<trained + 3 {
        let weight = kernel(place(y) - Double(row)) * kernel(place(x) - Double(column))
        if weight == 0 { continue }
        let source = min(max(row, 0), trained - 1) * trained + min(max(column, 0), trained - 1)
        for i in 0..<width { result[i] += weight * parameters[first + source * width + i] }
      }
    }
    return result
  }

  private func attention(_ tokens: Rows, _ prefix: String) -> Rows {
    let (width, size) = (architecture.embedDim, architecture.embedDim / architecture.numHeads)
    let qkv = tokens.map { linear($0, "\(prefix).attn.qkv") }
    var mixed = Rows(repeating: [Double](repeating: 0, count: width), count: tokens.count)
    for (head, probabilities) in self.probabilities(qkv).enumerated() {
      for query in tokens.indices {
        for key in tokens.indices {
          for i in 0..<size {
            mixed[query][head * size + i] += probabilities[query][key] * qkv[key][2 * width + head * size + i]
          }
        }
      }
    }
    return mixed.map { linear($0, "\(prefix).attn.proj") }
  }

  /// `[head][query][key]`.
  private func probabilities(_ qkv: Rows) -> [Rows] {
    let (width, size) = (architecture.embedDim, architecture.embedDim / architecture.numHeads)
    return (0..<architecture.numHeads).map { head in
      qkv.indices.map { query in
        let powers = qkv.indices.map { key in
          exp(
            (0..<size).reduce(0) { $0 + qkv[query][head * size + $1] * qkv[key][width + head * size + $1] }
              / Double(size).squareRoot())
        }
        let total = powers.reduce(0, +)
        return powers.map { $0 / total }
      }
    }
  }

  /// `[head][query][key]` of the last block, in one picture, where nothing is dropped.
  func lastAttention(_ pixels: [Double], side: Int) -> [Rows] {
    let last = architecture.depth - 1
    let tokens = passed(embed(pixels, side: side), blocks: 0..<last, scales: .init(repeating: 1, count: 2 * last))
    let prefix = "backbone.blocks.\(last)"
    return probabilities(tokens.map { linear(layerNorm($0, "\(prefix).norm1"), "\(prefix).attn.qkv") })
  }

  private func linear(_ x: [Double], _ name: String) -> [Double] {
    let (weight, bias) = (offset("\(name).weight"), offset("\(name).bias"))
    let outputs = (layout["\(name).bias"]?.range.count)!
    return (0..<outputs).map { o in
      var sum = parameters[bias + o]
      for i in x.indices { sum += parameters[weight + o * x.count + i] * x[i] }
      return sum
    }
  }

  private func layerNorm(_ x: [Double], _ name: String) -> [Double] {
    let mean = x.reduce(0, +) / Double(x.count)
    let variance = x.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(x.count)
    let (weight, bias) = (offset("\(name).weight"), offset("\(name).bias"))
    return x.indices.map {
      (x[$0] - mean) / (variance + 1e-6).squareRoot() * parameters[weight + $0] + parameters[bias + $0]
    }
  }

  private func batchNorm(_ x: Rows, _ name: String) -> Rows {
    let (weight, bias) = (offset("\(name).weight"), offset("\(name).bias"))
    var y = x
    for i in x[0].indices {
      let mean = x.reduce(0) { $0 + $1[i] } / Double(x.count)
      let variance = x.reduce(0) { $0 + ($1[i] - mean) * ($1[i] - mean) } / Double(x.count)
      for row in x.indices {
        y[row][i] = (x[row][i] - mean) / (variance + 1e-5).squareRoot() * parameters[weight + i] + parameters[bias + i]
      }
    }
    return y
  }

  private func gamma(_ name: String, _ i: Int) -> Double { offsets["\(name).gamma"].map { parameters[$0 + i] } ?? 1 }

  private func offset(_ name: String) -> Int { offsets[name]! }

  private func gelu(_ x: Double) -> Double { x * 0.5 * erfc(-x / 2.0.squareRoot()) }
}
