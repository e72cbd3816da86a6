//! A fleet: two nodes, each with its agent, at one Master by https, and an instance tree across both.

use slapos_testkit::{SERVICE_PROFILE, Tree, wait_for};

use crate::master::Master;
use crate::node::{Node, by};

/// Asks for a backend on the other node, and writes and publishes what that one publishes.
const FRONT: &str = r"[buildout]
parts = word service publish

[slap-configuration]
recipe = slapos.cookbook:slapconfiguration
configuration.word = hello

[backend]
<= slap-connection
recipe = slapos.cookbook:request
name = Backend
software-url = BACK
sla-computer_guid = COMP-2
config-word = $${slap-configuration:configuration.word}
return = echoed

[word]
recipe = slapos.recipe.template
inline = $${backend:connection-echoed}
output = $${buildout:directory}/etc/word.txt

[service]
recipe = slapos.cookbook:wrapper
wrapper-path = $${buildout:directory}/etc/service/front
command-line = /bin/sleep 1000000

[publish]
recipe = slapos.cookbook:publish
echoed = $${backend:connection-echoed}
";

const BACK: &str = r"[buildout]
parts = word service publish

[slap-configuration]
recipe = slapos.cookbook:slapconfiguration
configuration.word = nothing

[word]
recipe = slapos.recipe.template
inline = $${slap-configuration:configuration.word}
output = $${buildout:directory}/etc/word.txt

[service]
recipe = slapos.cookbook:wrapper
wrapper-path = $${buildout:directory}/etc/service/back
command-line = /bin/sleep 1000000

[publish]
recipe = slapos.cookbook:publish
echoed = $${slap-configuration:configuration.word} from $${slap-connection:computer-id}
";

/// Two nodes with their agents, and ann, whose project they belong to.
struct Fleet<'a> {
    master: &'a Master,
    ann: String,
    one: Node<'a>,
    two: Node<'a>,
    front: String,
    back: String,
}

impl<'a> Fleet<'a> {
    fn new(master: &'a Master) -> Self {
        let ann = master.person("ann", "alpha");
        let [one, two] = ["COMP-1", "COMP-2"].map(|computer| {
            let token = master.ok(&["proxy", "computer", "add", computer, "--project", "alpha"]);
            Node::register(master, computer, &token).with_agent()
        });
        let tree = Tree::new(master.path("tree"));
        let back = tree.add_software("back", SERVICE_PROFILE).display().to_string();
        tree.write("software/back/instance.cfg.in", BACK);
        let front = tree.add_software("front", SERVICE_PROFILE).display().to_string();
        tree.write("software/front/instance.cfg.in", FRONT.replace("BACK", &back));
        let fleet = Self { master, ann, one, two, front, back };
        fleet.by_ann(&["supply", &fleet.front, "COMP-1"]);
        fleet.by_ann(&["supply", &fleet.back, "COMP-2"]);
        fleet
    }

    fn by_ann(&self, words: &[&str]) -> String {
        self.master.ok(&by(&self.ann, words))
    }

    /// Asks for the tree, its root on the first node.
    fn wants(&self, word: &str) {
        let word = format!("word={word}");
        let words = ["request", "root", &self.front, "--parameters", &word];
        let words = [&words[..], &["--node", "computer_guid=COMP-1"]].concat();
        // The agents format their computers in their own time.
        wait_for("a place", 120, || {
            (self.master.slapos(&by(&self.ann, &words)).code == 0).then_some(())
        });
    }

    /// Waits until what was asked of the root has been to the other node and back.
    fn echoes(&self, word: &str) {
        self.one.waits_for("etc/word.txt", &format!("{word} from COMP-2"));
        self.two.waits_for("etc/word.txt", word);
    }

    fn services(&self) -> [i64; 2] {
        [self.one.service("front-on-watch"), self.two.service("back-on-watch")]
    }

    /// What remains on the computer that is to become empty.
    fn drained(&self) -> String {
        self.master.ok(&["proxy", "computer", "set", "COMP-2", "--scope", "drain"])
    }
}

#[test]
fn a_tree_across_two_nodes_outlives_its_master_and_goes_as_a_whole() {
    let master = Master::start("");
    let fleet = Fleet::new(&master);
    fleet.wants("first");
    fleet.echoes("first");
    let services = fleet.services();

    // A computer that is to become empty goes on serving what it has, and takes nothing new.
    assert!(fleet.drained().contains("1 remain there:\n  slappart0 Backend (tree root)"));
    let node = ["--node", "computer_guid=COMP-2"];
    let more = [&["request", "more", &fleet.back][..], &node].concat();
    let said = master.refused(&by(&fleet.ann, &more));
    assert!(said.contains("Computer COMP-2 is to become empty"), "{said}");
    fleet.wants("second");
    fleet.echoes("second");

    // Without their Master services go on, and the agents find it again by themselves.
    master.kill();
    for node in [&fleet.one, &fleet.two] {
        let run = master.slapos(&by(&node.config, &["node", "instance"]));
        assert!(matches!(run.code, 3 | 10), "{}{}", run.out, run.err);
    }
    assert_eq!(fleet.services(), services);
    master.run();
    fleet.wants("third");
    fleet.echoes("third");
    assert_eq!(fleet.services(), services);

    fleet.by_ann(&["request", "root", &fleet.front, "--state", "destroyed"]);
    wait_for("both partitions to be free", 180, || {
        let left = master.json(&["proxy", "show"])["instances"].as_array().map(Vec::len);
        (left == Some(0)).then_some(())
    });
    assert!(!fleet.drained().contains("remain there"), "{}", fleet.drained());
    for node in [&fleet.one, &fleet.two] {
        let left = std::fs::read_dir(node.path("inst/slappart0")).unwrap();
        let names = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let left: Vec<_> = names.filter(|name| name != ".slapos-resource").collect();
        assert_eq!(left, [""; 0]);
    }
}
