import Foundation

/// The block loss as docs/method.md writes it: pair by pair, block by block, in Double.
struct NaiveLoss {
  var batch: Int
  var views: Int
  var globalBatch: Int
  var studentTemperature: Double
  var teacherTemperature: Double
  var blocks: [[[Double]]]

  func value(student: [[Double]], teacher: [[Double]]) -> Double {
    var total = 0.0
    var pairs = 0
    for i in 0..<views {
      for j in 0..<2 where j != i {
        pairs += 1
        for block in blocks {
          for image in 0..<batch {
            let p = softmax(of: student[i * batch + image], block, studentTemperature)
            let q = softmax(of: teacher[j * batch + image], block, teacherTemperature)
            total -= zip(q, p).reduce(0) { $0 + $1.0 * log($1.1) }
          }
        }
      }
    }
    return total / Double(pairs * blocks.count * globalBatch)
  }

  func entropy(teacher: [[Double]]) -> Double {
    var total = 0.0
    for block in blocks {
      for row in teacher { total -= softmax(of: row, block, teacherTemperature).reduce(0) { $0 + $1 * log($1) } }
    }
    return total / Double(2 * blocks.count * globalBatch)
  }

  private func softmax(of z: [Double], _ block: [[Double]], _ temperature: Double) -> [Double] {
    let logits = block.map { row in zip(row, z).reduce(0) { $0 + $1.0 * $1.1 } / temperature }
    let top = logits.max()!
    let powers = logits.map { exp($0 - top) }
    let sum = powers.reduce(0, +)
    return powers.map { $0 / sum }
  }
}

/// The slope of `f` at `x` by central differences, element by element.
func slopes(of f: ([[Double]]) -> Double, at x: [[Double]], step: Double = 1e-5) -> [[Double]] {
  x.indices.map { row in
    x[row].indices.map { column in
      var (above, below) = (x, x)
      above[row][column] += step
      below[row][column] -= step
      return (f(above) - f(below)) / (2 * step)
    }
  }
}
