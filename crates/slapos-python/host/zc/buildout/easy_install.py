"""What recipes import from `zc.buildout.easy_install`."""
