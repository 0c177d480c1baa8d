from web.hooks.dead_letters import main  # python -m web.dead_letters

if __name__ == "__main__":
    raise SystemExit(main())
