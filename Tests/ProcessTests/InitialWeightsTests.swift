import Checkpoints
import Durability
import Foundation
import TestSupport
import Testing

/// A run that begins with the weights of a file.
@Suite(.serialized, .ownThreads) struct InitialWeightsTests {
  let workshop: Workshop

  init() throws { workshop = try Workshop() }

  private func export(_ run: String) throws -> String {
    let file = workshop.folder + "/\(run).safetensors"
    #expect(try Program.run(["export", "--run", workshop.run(run), "--out", file]).status == 0)
    return file
  }

  @Test func aRunGoesOnFromAFileAndItsBitsFollowFromThatAlone() throws {
    #expect(try Program.run(workshop.arguments("old") + ["--max-steps", "5"]).status == 0)
    let file = try export("old")
    for (name, workers) in [("one", 1), ("two", 2)] {
      let ended = try Program.run(workshop.arguments(name, workers: workers) + ["--init", file])
      #expect(ended.status == 0 && ended.errors.contains("Begins with the backbone of \(file)"), "\(ended)")
    }
    #expect(try workshop.digests("one") == workshop.digests("two"))
    #expect(try Program.run(workshop.arguments("drawn")).status == 0)
    #expect(try workshop.digests("one") != workshop.digests("drawn"))

    // The same command resumes; other weights are another run.
    let same = try Program.run(workshop.arguments("one") + ["--init", file])
    #expect(same.status == 0, "\(same)")
    let other = try export("drawn")
    let refused = try Program.run(workshop.arguments("one") + ["--init", other])
    #expect(refused.status == 64 && refused.errors.contains("began with the weights of \(file)"), "\(refused)")
    let drawn = try Program.run(workshop.arguments("drawn") + ["--init", file])
    #expect(drawn.status == 64 && drawn.errors.contains("began with drawn weights"), "\(drawn)")

    // Killed before its first checkpoint: it must not begin with other weights the next time.
    let begun = try workshop.digests("one")
    try FileManager.default.removeItem(atPath: workshop.run("one") + "/checkpoints")
    try FileManager.default.removeItem(atPath: workshop.run("one") + "/memory")
    let forgotten = try Program.run(workshop.arguments("one"))
    #expect(forgotten.status == 64 && forgotten.errors.contains("give them again (--init \(file))"), "\(forgotten)")
    #expect(try Program.run(workshop.arguments("one") + ["--init", file]).status == 0)
    #expect(try workshop.digests("one") == begun)
    // Once it has a checkpoint the file is not needed any more.
    try FileManager.default.removeItem(atPath: file)
    #expect(try Program.run(workshop.arguments("one") + ["--init", file]).status == 0)
  }

  @Test func whatCannotBeBegunWithIsSaidBeforeThereIsARun() throws {
    #expect(try Program.run(workshop.arguments("old") + ["--max-steps", "1"]).status == 0)
    let file = try export("old")
    let deep = try Program.run(workshop.arguments("deep") + ["--depth", "3", "--init", file])
    #expect(
      deep.status == 64
        && deep.errors.contains("its depth is 2, not 3. Give the file's: --arch custom --depth 2."),
      "\(deep)")
    let registers = try Program.run(workshop.arguments("deep") + ["--registers", "4", "--init", file])
    #expect(
      registers.status == 64 && registers.errors.contains("its registers is 0, not 4. Give the file's: --registers 0."),
      "\(registers)")
    let pickled = workshop.folder + "/weights.pth"
    try Data([0x50, 0x4B, 3, 4] + [UInt8](repeating: 0, count: 60)).write(to: URL(fileURLWithPath: pickled))
    let torch = try Program.run(workshop.arguments("deep") + ["--init", pickled])
    #expect(
      torch.status == 64 && torch.errors.contains("PyTorch file") && torch.errors.contains("save_file"), "\(torch)")
    let nothing = try Program.run(workshop.arguments("deep") + ["--init", workshop.folder + "/none"])
    #expect(nothing.status == 64 && nothing.errors.contains("/none"), "\(nothing)")
    #expect(!workshop.exists("deep"))
  }

  @Test func aFolderForTimmHoldsTheBackbone() throws {
    #expect(try Program.run(workshop.arguments("run") + ["--max-steps", "5"]).status == 0)
    let folder = workshop.folder + "/for-timm"
    let flags = ["export", "--run", workshop.run("run"), "--format", "timm", "--out", folder]
    // What is there is replaced.
    for _ in 1...2 { #expect(try Program.run(flags).status == 0) }
    #expect(try Set(FileManager.default.contentsOfDirectory(atPath: folder)) == ["config.json", "model.safetensors"])
    let data = try Data(contentsOf: URL(fileURLWithPath: folder + "/config.json"))
    let config = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
    let arguments = try #require(config["model_args"] as? [String: Any])
    #expect(arguments["embed_dim"] as? Int == 48 && arguments["num_heads"] as? Int == 3)
    #expect(arguments["img_size"] as? Int == 32 && arguments["patch_size"] as? Int == 8)
    #expect(arguments["global_pool"] as? String == "token" && arguments["num_classes"] as? Int == 0)
    let input = try #require(config["pretrained_cfg"] as? [String: Any])
    #expect(input["mean"] as? [Double] == [0.485, 0.456, 0.406])

    #expect(Set(["init_values", "reg_tokens", "no_embed_class"]).isDisjoint(with: arguments.keys))

    // The same features, from the names of timm.
    let sides = ["--train", workshop.data, "--test", workshop.folder + "/test", "--json", "--k", "5"]
    let own = try Program.run(["evaluate", "knn", "--run", workshop.run("run")] + sides)
    let exported = try Program.run(["evaluate", "knn", "--weights", folder + "/model.safetensors"] + sides)
    #expect(own.status == 0 && own.output == exported.output, "\(own) \(exported)")
    let begun = try Program.run(
      workshop.arguments("next") + ["--init", folder + "/model.safetensors", "--max-steps", "1"])
    #expect(begun.status == 0 && begun.errors.contains("The head is drawn as a new run's."), "\(begun)")
  }

  /// timm's networks with registers have no position of the class token: what is read again has the same sum, so the same
  /// features, bit by bit.
  @Test func aFolderForTimmHoldsRegistersAndLayerScale() throws {
    let kinds = ["--registers", "2", "--layer-scale", "0.1"]
    #expect(try Program.run(workshop.arguments("run") + kinds + ["--max-steps", "5"]).status == 0)
    let folder = workshop.folder + "/for-timm"
    let flags = ["export", "--run", workshop.run("run"), "--format", "timm", "--out", folder]
    #expect(try Program.run(flags).status == 0)
    let data = try Data(contentsOf: URL(fileURLWithPath: folder + "/config.json"))
    let config = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
    let arguments = try #require(config["model_args"] as? [String: Any])
    #expect(arguments["reg_tokens"] as? Int == 2 && arguments["no_embed_class"] as? Bool == true)
    #expect(arguments["init_values"] as? Double == 0.1)

    let sides = ["--train", workshop.data, "--test", workshop.folder + "/test", "--json", "--k", "5"]
    let ofRun = try Program.run(["evaluate", "knn", "--run", workshop.run("run")] + sides)
    // The metadata say which network it is: with LayerScale. Without, it is multiplied into other layers.
    let exported = try Program.run(["evaluate", "knn", "--weights", folder + "/model.safetensors"] + sides)
    #expect(ofRun.status == 0 && ofRun.output == exported.output, "\(ofRun) \(exported)")
    let file = folder + "/model.safetensors"
    let (timm, own) = (
      try SafetensorsFile(file, in: FileStorage()), try SafetensorsFile(export("run"), in: FileStorage())
    )
    let positions = try own.floats(of: "backbone.pos_embed")
    let token = try zip(own.floats(of: "backbone.cls_token"), positions).map { $0 + $1 }
    #expect(try timm.floats(of: "cls_token") == token && timm.floats(of: "pos_embed") == Array(positions[48...]))
    #expect(try timm.tensor("pos_embed").shape == [1, 16, 48] && timm.tensor("reg_token").shape == [1, 2, 48])
    let kept = try Program.run(workshop.arguments("kept") + kinds + ["--init", file, "--max-steps", "1"])
    #expect(kept.status == 0 && !kept.errors.contains("LayerScale"), "\(kept)")
    let folded = try Program.run(
      workshop.arguments("folded") + ["--registers", "2", "--init", file, "--max-steps", "1"])
    #expect(folded.status == 0 && folded.errors.contains("4 LayerScales are multiplied"), "\(folded)")
  }
}
