//! The Python code of the host, which travels inside this program.

use std::collections::BTreeMap;

/// What the interpreter is started with: it takes the modules from the socket.
pub(crate) const BOOT: &str = include_str!("../host/boot.py");

/// Name → text. A name that ends in `.__init__` is a package.
pub(crate) fn all() -> BTreeMap<&'static str, &'static str> {
    BTreeMap::from([
        ("slapos_host.__init__", include_str!("../host/slapos_host/__init__.py")),
        ("slapos_host.buildout", include_str!("../host/slapos_host/buildout.py")),
        ("slapos_host.eggs", include_str!("../host/slapos_host/eggs.py")),
        ("slapos_host.jinja", include_str!("../host/slapos_host/jinja.py")),
        ("slapos_host.literal", include_str!("../host/slapos_host/literal.py")),
        ("slapos_host.main", include_str!("../host/slapos_host/main.py")),
        ("slapos_host.script", include_str!("../host/slapos_host/script.py")),
        ("slapos_host.wire", include_str!("../host/slapos_host/wire.py")),
        ("zc.__init__", include_str!("../host/zc/__init__.py")),
        ("zc.buildout.__init__", include_str!("../host/zc/buildout/__init__.py")),
        ("zc.buildout.buildout", include_str!("../host/zc/buildout/buildout.py")),
        ("zc.buildout.download", include_str!("../host/zc/buildout/download.py")),
        ("zc.buildout.easy_install", include_str!("../host/zc/buildout/easy_install.py")),
        ("zc.buildout.rmtree", include_str!("../host/zc/buildout/rmtree.py")),
        ("zc.recipe.__init__", include_str!("../host/zc/recipe/__init__.py")),
        ("zc.recipe.egg.__init__", include_str!("../host/zc/recipe/egg/__init__.py")),
    ])
}
