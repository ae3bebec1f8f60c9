import Foundation
import TestSupport
import Testing

/// Every protocol on one run, as people type it.
@Suite(.serialized, .ownThreads) struct EvaluateTests {
  let workshop: Workshop

  init() throws { workshop = try Workshop() }

  private func json(_ text: String) throws -> [String: Any] {
    try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
  }

  private var sides: [String] { ["--train", workshop.data, "--test", workshop.folder + "/test"] }

  @Test func everyProtocolGivesFiguresAndFeaturesAreComputedOnce() throws {
    #expect(try Program.run(workshop.arguments("judged")).status == 0)
    let run = ["--run", workshop.run("judged")]
    let kept = workshop.run("judged") + "/evaluations"
    func files() throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: kept).sorted() }

    // 1. The first computes, the others read; on one processor and on several with the same figures.
    let linear = ["evaluate", "linear", "--json", "--epochs", "3", "--lr", "0.01", "1"] + run + sides
    let first = try Program.run(linear)
    #expect(first.status == 0 && !first.errors.contains("features of"), "\(first)")
    let names = try files()
    #expect(names.count == 2, "\(names)")
    let again = try Program.run(linear, through: ["/usr/bin/env", "taskset", "-c", "0"])
    #expect(again.output == first.output && again.errors.contains("with 1 thread"), "\(again)")
    #expect(again.errors.contains("features of \(workshop.data): from \(kept)/features-"), "\(again)")

    // 2. Each protocol's figures, of the features that there are.
    let probe = try #require(try json(first.output)["linear"] as? [String: [String: Any]])
    let best = try #require(probe["trained"]?["best"] as? [String: Double])
    let rates = try #require(probe["trained"]?["rates"] as? [[String: Double]])
    #expect(rates.map { $0["lr"] } == [0.01, 1] && rates.contains(best))
    #expect((0...1).contains(best["top_one"] ?? -1))
    let lowShot = try Program.run(
      ["evaluate", "lowshot", "--json", "--labels", "0.1", "--draws", "2", "--l2", "0.01"] + run + sides)
    let rows = try #require(try (json(lowShot.output)["lowshot"] as? [String: [[String: Any]]])?["trained"])
    #expect(rows.map { $0["draws"] as? Int } == [2, 1], "\(lowShot)")
    #expect((rows[0]["best"] as? [String: Double])?["top_one_deviation"] != nil)
    let groups = workshop.folder + "/groups.txt"
    let cluster = try Program.run(
      ["evaluate", "cluster", "--json", "--pictures", workshop.folder + "/test", "--groups-file", groups] + run)
    let agreement = try #require(try (json(cluster.output)["cluster"] as? [String: [String: Double]])?["trained"])
    #expect((0...1).contains(agreement["nmi"] ?? -1) && (-1...1).contains(agreement["ami"] ?? -2), "\(cluster)")
    let lines = try String(contentsOfFile: groups, encoding: .utf8).split(separator: "\n")
    #expect(lines.count == 40 && lines[0].contains("\t"))
    let retrieval = try Program.run(["evaluate", "retrieval", "--json"] + run + sides)
    let ranked = try #require(try (json(retrieval.output)["retrieval"] as? [String: [[String: Any]]])?["trained"])
    #expect((0...1).contains(ranked[0]["map"] as? Double ?? -1) && ranked[0]["queries"] as? Int == 40, "\(retrieval)")
    #expect(try files() == names)
    // A batch larger than any folder is one of all pictures.
    let whole = try Program.run(
      ["evaluate", "linear", "--epochs", "1", "--lr", "0.1", "--batch-size", "9223372036854775807"] + run + sides)
    #expect(whole.status == 0, "\(whole)")

    // 3. For people.
    let words = try Program.run(["evaluate", "linear", "--epochs", "2", "--lr", "0.1", "--untrained"] + run + sides)
    for word in ["Linear probe at step 30: 2 epochs", "trained  lr 0.1  top-1 0.", "untrained best: lr 0.1"] {
      #expect(words.output.contains(word), "\(words)")
    }
    #expect(try files().count == 4)
    // Nothing is kept of who asks for nothing to be kept.
    try FileManager.default.removeItem(atPath: kept)
    #expect(try Program.run(["evaluate", "cluster", "--no-cache", "--pictures", workshop.data] + run).status == 0)
    #expect(!FileManager.default.fileExists(atPath: kept))
  }

  @Test func copiesAreLookedUpAmongTheirOriginals() throws {
    #expect(try Program.run(workshop.arguments("copied")).status == 0)
    let (originals, copies) = (try workshop.folder("originals"), try workshop.folder("copies/blur"))
    let pictures = try FileManager.default.subpathsOfDirectory(atPath: workshop.folder + "/test")
      .filter { $0.hasSuffix(".jpg") }.sorted()
    for (number, path) in pictures.prefix(12).enumerated() {
      let name = "\(200_000 + 100 * (number / 2) + number % 2).jpg"
      try FileManager.default.copyItem(
        atPath: "\(workshop.folder)/test/\(path)", toPath: "\(number % 2 == 0 ? originals : copies)/\(name)")
    }
    try FileManager.default.copyItem(atPath: "\(originals)/200000.jpg", toPath: "\(workshop.folder)/copies/200001.jpg")
    try Data("words".utf8).write(to: URL(fileURLWithPath: "\(copies)/200401.jpg"))
    try Data("words".utf8).write(to: URL(fileURLWithPath: "\(copies)/300001.jpg"))
    let ended = try Program.run([
      "evaluate", "copy", "--json", "--run", workshop.run("copied"), "--originals", originals, "--copies",
      workshop.folder + "/copies", "--distractors", workshop.folder + "/test", "--whiten", workshop.data,
    ])
    let object = try json(ended.output)
    let rows = try #require((object["copy"] as? [String: [[String: Any]]])?["trained"])
    #expect(rows.map { $0["kind"] as? String } == [".", "blur", "all"], "\(ended)")
    #expect(rows.map { $0["copies"] as? Int } == [1, 5, 6] && object["copies_of_no_original"] as? Int == 1)
    // The same picture is found first, whatever whitening does; among the distractors it is there once more.
    #expect((rows[0]["map"] as? Double ?? 0) >= 0.25)
    #expect(ended.errors.contains("300001.jpg is a copy of no original"), "\(ended)")
    #expect(ended.errors.contains("skipped \(copies)/200401.jpg: it is no picture"), "\(ended)")
  }

  @Test func whatAProtocolCannotDoIsSaid() throws {
    #expect(try Program.run(workshop.arguments("small")).status == 0)
    let run = ["--run", workshop.run("small"), "--no-cache"]
    // One class alone.
    let single = workshop.folder + "/single"
    let name = try FileManager.default.contentsOfDirectory(atPath: workshop.data).sorted()[0]
    try FileManager.default.createDirectory(atPath: single, withIntermediateDirectories: true)
    try FileManager.default.copyItem(atPath: "\(workshop.data)/\(name)", toPath: "\(single)/\(name)")
    let sentence = "\(single) has pictures of 1 class that can be used. There must be two at least"
    let refused = [
      ["linear", "--train", single, "--test", single], ["lowshot", "--train", single, "--test", single],
      ["cluster", "--pictures", single],
    ]
    for arguments in refused {
      let ended = try Program.run(["evaluate"] + arguments + run)
      #expect(ended.status == 64 && ended.errors.contains(sentence), "\(ended)")
    }
    let nowhere = try Program.run(
      ["evaluate", "cluster", "--pictures", workshop.data, "--groups-file", "/no/such/folder/groups"] + run)
    #expect(
      nowhere.status == 64 && nowhere.output.isEmpty
        && nowhere.errors.contains("--groups-file /no/such/folder/groups: there is no folder /no/such/folder."),
      "\(nowhere)")
    let groups = try Program.run(["evaluate", "cluster", "--pictures", workshop.data, "--clusters", "5000"] + run)
    #expect(groups.status == 64 && groups.errors.contains("and 5000 are wanted at least"), "\(groups)")
    // Pictures without classes.
    let labels = try Program.run(["evaluate", "linear", "--train", "\(single)/\(name)", "--test", single] + run)
    #expect(
      labels.status == 64 && labels.errors.contains("has no classes: there must be a folder per class."), "\(labels)")
  }
}
