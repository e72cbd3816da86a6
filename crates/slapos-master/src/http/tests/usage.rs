//! What nodes report as used.

use serde_json::json;
use slapos_slap::usage::{Consumption, journal, read_consumption};

use super::*;

fn used(quantity: &str) -> Consumption {
    read_consumption(&format!(
        "<consumption><movement><resource>service_module/cpu_load_percent</resource>\
         <title>CPU</title><reference>x</reference><quantity>{quantity}</quantity>\
         <price>0.0</price><VAT></VAT><category></category></movement></consumption>"
    ))
    .unwrap()
}

impl Running {
    fn usage_of(&self, place: &str) -> serde_json::Value {
        let (status, text) = self.raw(&format!("GET /api/v1/{place}/usage HTTP/1.1"), "");
        assert_eq!(status, 200, "{text}");
        let mut told: serde_json::Value = serde_json::from_str(&text).unwrap();
        for one in told["usage"].as_array_mut().unwrap() {
            assert!(one["told_at"].take().is_string());
        }
        told["usage"].take()
    }
}

#[test]
fn the_last_report_of_usage_is_kept_and_told() {
    let (running, client) = Running::formatted(2);
    client.request(&InstanceRequest::new("one", "s")).unwrap();
    let report = |partition: &str, quantity: &str, date: &str| {
        let text = journal(&home(), date, &[(partition.into(), used(quantity))]);
        client.use_computer(&home(), &text).unwrap();
    };
    let instance = "instances/computer-slappart0";
    assert_eq!(running.usage_of(instance), json!([]));
    report("slappart0", "1.5", "yesterday");
    report("slappart0", "2.5", "today");
    report("slappart1", "7", "today");
    let cpu = json!([{
        "by": "slappart0", "resource": "service_module/cpu_load_percent", "title": "CPU",
        "quantity": "2.5", "start": "", "stop": "today", "told_at": null,
    }]);
    assert_eq!(running.usage_of(instance), cpu);
    assert_eq!(running.usage_of("computers/computer").as_array().unwrap().len(), 2);
    let refused = client.use_computer(&home(), "<journal></journal>").unwrap_err();
    assert!(matches!(refused, SlapError::Server { status: 400, .. }), "{refused}");
    assert_eq!(running.usage_of(instance), cpu);
    // Names are bounded, in number and length.
    let many = |names: &mut dyn Iterator<Item = String>| {
        let movement = |name: String| {
            format!(
                "<movement><resource>{name}</resource><title>x</title><reference>x</reference>\
                 <quantity>1</quantity><price>0.0</price><VAT></VAT><category></category></movement>"
            )
        };
        let text = names.map(movement).collect::<String>();
        let used = read_consumption(&format!("<consumption>{text}</consumption>")).unwrap();
        let text = journal(&home(), "today", &[("slappart0".into(), used)]);
        client.use_computer(&home(), &text).unwrap();
        running.usage_of(instance).as_array().unwrap().len()
    };
    assert_eq!(many(&mut std::iter::once("x".repeat(1000))), 1);
    assert_eq!(many(&mut (0..150).map(|number| format!("a{number}"))), 151);
    assert_eq!(many(&mut (0..250).map(|number| format!("b{number}"))), 200);
    // Who comes next to that partition does not see it.
    let mut gone = InstanceRequest::new("one", "s");
    gone.state = Some(InstanceState::Destroyed);
    client.request(&gone).unwrap();
    client.instance_destroyed(&home(), &part(0)).unwrap();
    client.request(&InstanceRequest::new("two", "s")).unwrap();
    assert_eq!(running.usage_of(instance), json!([]));
}
