import Drawing
import Evaluation
import Foundation
import Vision

/// An evaluation as one HTML page: figures, confusions, neighbours, a map and attention, for people; and the same figures
/// as JSON within it, for programs.
///
/// The page needs nothing but itself: pictures are in it, no script runs, and its policy forbids everything from outside.
/// The same evaluation makes the same bytes.
public struct EvaluationPage {
  /// What is evaluated: a run and its step, or a file.
  public var title: String
  /// Names and values: what the network and the pictures are.
  public var facts: [(name: String, value: String)]
  public var figures: Figures
  public var confusion: ConfusionMatrix
  public var neighbors: [AskedPicture]
  public var map: PrincipalComponents
  /// The class of each of the map's points.
  public var classes: [Int]
  public var attention: [SeenPicture]
  /// Whose attention it is.
  public var query: Attention.Query
  public var included: [IncludedResult]

  /// Accuracies of k-NN.
  public struct Figures: Sendable {
    public var counts: [Int]
    public var rows: [(source: String, accuracies: [Double])]
    public var bank: Int
    public var queries: Int

    public init(counts: [Int], rows: [(source: String, accuracies: [Double])], bank: Int, queries: Int) {
      (self.counts, self.rows, self.bank, self.queries) = (counts, rows, bank, queries)
    }
  }

  /// A picture that was asked, and its nearest neighbours.
  public struct AskedPicture: Sendable {
    public var path: String
    public var picture: Picture
    public var label: String
    public var voted: String
    public var neighbors: [Neighbor]

    public struct Neighbor: Sendable {
      public var path: String
      public var picture: Picture
      public var label: String
      public var cosine: Float

      public init(path: String, picture: Picture, label: String, cosine: Float) {
        (self.path, self.picture, self.label, self.cosine) = (path, picture, label, cosine)
      }
    }

    public init(path: String, picture: Picture, label: String, voted: String, neighbors: [Neighbor]) {
      (self.path, self.picture, self.label, self.voted, self.neighbors) = (path, picture, label, voted, neighbors)
    }
  }

  /// A picture and what the network attends to in it.
  public struct SeenPicture: Sendable {
    public var path: String
    public var square: Picture
    public var attention: Attention

    public init(path: String, square: Picture, attention: Attention) {
      (self.path, self.square, self.attention) = (path, square, attention)
    }
  }

  public init(
    title: String, facts: [(name: String, value: String)], figures: Figures, confusion: ConfusionMatrix,
    neighbors: [AskedPicture], map: PrincipalComponents, classes: [Int], attention: [SeenPicture],
    query: Attention.Query, included: [IncludedResult]
  ) {
    self.title = title
    self.facts = facts
    self.figures = figures
    self.confusion = confusion
    self.neighbors = neighbors
    self.map = map
    self.classes = classes
    self.attention = attention
    self.query = query
    self.included = included
  }
}

// MARK: - The page

extension EvaluationPage {
  public var html: String {
    """
    <!DOCTYPE html>
    <html lang="en">
    <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
    <title>\(title.markup)</title>
    <style>
    \(Self.style)
    </style>
    </head>
    <body>
    <header>
    <h1>\(title.markup)</h1>
    <dl>
    \(facts.map { "<div><dt>\($0.name.markup)</dt><dd>\($0.value.markup)</dd></div>" }.joined(separator: "\n"))
    </dl>
    </header>
    \(sections.joined(separator: "\n"))
    \(included.map(\.section).joined(separator: "\n"))
    <script type="application/json" id="figures">
    \(json)
    </script>
    </body>
    </html>

    """
  }

  private var sections: [String] {
    [figuresSection, confusionSection] + (neighbors.isEmpty ? [] : [neighborsSection]) + [mapSection]
      + (attention.isEmpty ? [] : [attentionSection])
  }

  private static let style = String(decoding: PackageResources.report_css, as: UTF8.self)

  private var figuresSection: String {
    let rows = figures.rows.map { row in
      "<tr><td class=\"word\">\(row.source.markup)</td>"
        + row.accuracies.map { "<td>\(Self.accuracy($0))</td>" }.joined() + "</tr>"
    }
    return """
      <section>
      <h2>k-NN accuracy</h2>
      <p class="quiet">\(figures.queries) pictures are asked, and the k nearest of \(figures.bank) others vote, by the cosine \
      of their features. “Untrained” is the same network before its first step, “pixels” the pictures themselves: what \
      training is worth is the distance to both.</p>
      <div class="scroll"><table>
      <thead><tr><th></th>\(figures.counts.map { "<th>k = \($0)</th>" }.joined())</tr></thead>
      <tbody>
      \(rows.joined(separator: "\n"))
      </tbody>
      </table></div>
      </section>
      """
  }

  /// More classes than these are no table that anybody reads.
  private static let classesInTable = 40

  private var confusionSection: String {
    let pairs = confusion.confusions(atMost: 10)
    let list = pairs.map { pair in
      "<tr><td class=\"word\">\(confusion.names[pair.truth].markup)</td>"
        + "<td class=\"word\">\(confusion.names[pair.answer].markup)</td><td>\(pair.count)</td></tr>"
    }
    let most =
      pairs.isEmpty
      ? "<p>No picture was taken for one of another class.</p>"
      : """
      <h3>Taken for another most often</h3>
      <div class="scroll"><table>
      <thead><tr><th>class</th><th class="word">taken for</th><th>pictures</th></tr></thead>
      <tbody>
      \(list.joined(separator: "\n"))
      </tbody>
      </table></div>
      """
    return """
      <section>
      <h2>Confusion matrix</h2>
      <p class="quiet">Of the trained network's vote of \(figures.counts.max() ?? 0): a row for each class, and how many of \
      its pictures were taken for each. \(confusion.right) of \(confusion.asked) lie on the diagonal.</p>
      \(confusion.names.count <= Self.classesInTable ? confusionTable : "<p>There are \(confusion.names.count) classes: too many for a table.</p>")
      \(most)
      </section>
      """
  }

  private var confusionTable: String {
    let head = confusion.names.map { "<th><span>\($0.markup)</span></th>" }.joined()
    let rows = confusion.names.indices.map { truth in
      let all = max(1, confusion.counts[truth].reduce(0, +))
      let cells = confusion.counts[truth].enumerated().map { answer, count in
        let heat = count == 0 ? 0 : min(5, 1 + count * 5 / all)
        let words = [heat > 0 ? "h\(heat)" : nil, answer == truth ? "same" : nil].compactMap(\.self)
        return "<td\(words.isEmpty ? "" : " class=\"\(words.joined(separator: " "))\"")>\(count)</td>"
      }
      return "<tr><th>\(confusion.names[truth].markup)</th>\(cells.joined())</tr>"
    }
    return """
      <div class="scroll"><table class="confusion">
      <thead><tr><th>class</th>\(head)</tr></thead>
      <tbody>
      \(rows.joined(separator: "\n"))
      </tbody>
      </table></div>
      """
  }

  private var neighborsSection: String {
    let rows = neighbors.map { asked in
      let own = Self.figure(
        asked.picture, path: asked.path,
        "\(asked.label.markup)<br>voted: \(Self.judged(asked.voted, isRight: asked.voted == asked.label))", "asked")
      let others = asked.neighbors.map { neighbor in
        Self.figure(
          neighbor.picture, path: neighbor.path,
          Self.judged(neighbor.label, isRight: neighbor.label == asked.label)
            + "<br>\(String(format: "%.3f", neighbor.cosine))")
      }
      return "<h3>\(asked.path.markup)</h3>\n<div class=\"row\">\(([own] + others).joined(separator: "\n"))</div>"
    }
    return """
      <section>
      <h2>Nearest neighbours</h2>
      <p class="quiet">Pictures that were asked, evenly chosen, and those nearest to them, with their class and the cosine of \
      their features. Neighbours of the same class have a tick, others a cross.</p>
      \(rows.joined(separator: "\n"))
      </section>
      """
  }

  private var mapSection: String {
    let plot = ScatterPlot(
      points: map.points.enumerated().map { index, point in
        ScatterPlot.Point(x: point.x, y: point.y, group: classes[index])
      }, groups: confusion.names)
    let (x, y) = (map.shares.x * 100, map.shares.y * 100)
    return """
      <section>
      <h2>Map of the features</h2>
      <p class="quiet">\(plot.words) Its axes are the first two principal components (PCA) of the features: across \
      \(String(format: "%.1f", x)) % of their variance, upward \(String(format: "%.1f", y)) %. What is apart here is apart; \
      what lies together may still be apart in the directions that are not shown.</p>
      \(plot.svg)
      \(plot.legend)
      </section>
      """
  }

  private var attentionSection: String {
    let rows = attention.map { seen in
      let shown = seen.square.enlarged(toAtLeast: Self.thumbnail).shrunk(toAtMost: 2 * Self.thumbnail)
      let (mean, patches) = (seen.attention.mean, seen.attention.mean.mass(Self.mass))
      let chosen = patches.values.count { $0 > 0 }
      let heads = seen.attention.heads.enumerated().map { head, map in
        Self.figure(map.overlaid(on: shown), path: "head \(head)", "head \(head)")
      }
      let figures =
        [Self.figure(shown, path: seen.path, "picture")] + heads + [
          Self.figure(mean.overlaid(on: shown), path: "mean of heads", "mean of heads"),
          Self.figure(
            patches.cutOut(of: shown), path: "60 % of the mean's attention",
            "60 % in \(chosen) of \(patches.values.count)"),
        ]
      return "<h3>\(seen.path.markup)</h3>\n<div class=\"row\">\(figures.joined(separator: "\n"))</div>"
    }
    return """
      <section>
      <h2>Attention of the last block</h2>
      <p class="quiet">What the last block attends to (\(query.rawValue)), head by head, the brighter the more; the mean of \
      the heads; and the fewest patches that have 60 % of that.</p>
      \(rows.joined(separator: "\n"))
      </section>
      """
  }

  /// Share of the attention that the last column shows.
  private static let mass: Float = 0.6
  /// Side of a picture as it is shown, in pixels.
  public static let thumbnail = 96

  private static func accuracy(_ value: Double) -> String { String(format: "%.3f", value) }

  private static func judged(_ text: String, isRight: Bool) -> String {
    "<span class=\"\(isRight ? "yes" : "no")\">\(isRight ? "✓" : "✗") \(text.markup)</span>"
  }

  /// - Parameter caption: markup.
  private static func figure(_ picture: Picture, path: String, _ caption: String, _ kind: String = "") -> String {
    let isSmall = min(picture.width, picture.height) < thumbnail
    let kinds = [kind, isSmall ? "small" : ""].filter { !$0.isEmpty }
    return "<figure\(kinds.isEmpty ? "" : " class=\"\(kinds.joined(separator: " "))\"")>"
      + "<img src=\"data:image/jpeg;base64,\(Data(picture.jpeg(quality: 85)).base64EncodedString())\" "
      + "alt=\"\(path.markup)\"><figcaption>\(caption)</figcaption></figure>"
  }
}

// MARK: - For programs

extension EvaluationPage {
  private struct Document: Encodable {
    let title: String
    let bank: Int
    let queries: Int
    let knn: [[String: Double]]
    let classes: [String]
    let confusion: [[Int]]
    let neighbours: [Asked]
    let map: Map

    struct Asked: Encodable {
      let picture: String
      let label: String
      let voted: String
      let neighbours: [Neighbour]
    }

    struct Neighbour: Encodable {
      let picture: String
      let label: String
      let cosine: Float
    }

    struct Map: Encodable {
      let method = "PCA"
      let shares: [Double]
      let points: Int
    }
  }

  /// The figures as `massl evaluate knn --json` says them, and those of the other sections.
  public var json: String {
    let knn = figures.counts.indices.map { index in
      Dictionary(
        uniqueKeysWithValues: [("k", Double(figures.counts[index]))]
          + figures.rows.map { ($0.source, $0.accuracies[index]) })
    }
    let document = Document(
      title: title, bank: figures.bank, queries: figures.queries, knn: knn, classes: confusion.names,
      confusion: confusion.counts,
      neighbours: neighbors.map { asked in
        Document.Asked(
          picture: asked.path, label: asked.label, voted: asked.voted,
          neighbours: asked.neighbors.map {
            Document.Neighbour(picture: $0.path, label: $0.label, cosine: $0.cosine)
          })
      }, map: Document.Map(shares: [map.shares.x, map.shares.y], points: map.points.count))
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    let text = (try? encoder.encode(document)).map { String(decoding: $0, as: UTF8.self) } ?? "{}"
    // No name in it may end the element.
    return text.replacing("<", with: "\\u003c")
  }
}
