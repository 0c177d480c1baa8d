from web.hooks.replay import main  # python -m web.replay

if __name__ == "__main__":
    raise SystemExit(main())
